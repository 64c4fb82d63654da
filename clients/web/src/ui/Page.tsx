import type { App } from "../app";
import { StartScreen } from "./StartScreen";
import { SummaryScreen } from "./SummaryScreen";
import { useStore } from "./useStore";
import { VisitScreen } from "./VisitScreen";

export function Page({ app }: { app: App }) {
  const state = useStore(app.store);
  if (state.screen === "summary" && state.visit?.summary)
    return <SummaryScreen visit={state.visit} summary={state.visit.summary} onNew={() => app.newVisit()} />;
  if (state.screen === "visit" && state.visit)
    return <VisitScreen app={app} visit={state.visit} trouble={state.trouble} />;
  return <StartScreen app={app} state={state} />;
}
