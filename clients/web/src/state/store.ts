/** Holds the state, and tells who listens when it changes. */

import { reduce } from "./reduce";
import { type Action, START, type ViewState } from "./view";

export class Store {
  private state: ViewState = START;
  private readonly listeners = new Set<() => void>();

  get(): ViewState {
    return this.state;
  }

  dispatch(action: Action): void {
    const next = reduce(this.state, action);
    if (next === this.state) return;
    this.state = next;
    for (const listener of this.listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
