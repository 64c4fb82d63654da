import { useEffect, useState } from "preact/hooks";
import type { Store } from "../state/store";
import type { ViewState } from "../state/view";

export function useStore(store: Store): ViewState {
  const [state, setState] = useState(store.get());
  useEffect(() => {
    const follow = () => setState(store.get());
    // Once now: something may have happened between the first render and this subscription.
    follow();
    return store.subscribe(follow);
  }, [store]);
  return state;
}
