/** One cue at a time: when it leaves the screen, and what the gateway is told of it. */

import type { Clock } from "./session/clock";
import type { CueAction } from "./session/protocol";
import { type SavedVisit, saveVisit } from "./session/saved_visit";
import type { Store } from "./state/store";

export class CueDesk {
  private cancelExpiry: (() => void) | null = null;

  constructor(
    private readonly store: Store,
    private readonly saved: SavedVisit,
    private readonly clock: Clock,
    private readonly tell: (cueId: string, action: CueAction) => void,
  ) {}

  /** A cue stands on the screen, drawn. */
  shown(cueId: string): void {
    this.acknowledge(cueId, "shown");
  }

  /** A cue leaves the screen. */
  close(cueId: string, action: Exclude<CueAction, "shown">): void {
    this.stop();
    this.acknowledge(cueId, action);
    this.store.dispatch({ type: "cue-closed", cueId });
  }

  /** A cue came, and the state has it unless it is too late. @param replaced the one that it took the place of. */
  arrived(cueId: string, replaced: string | undefined): void {
    const cue = this.store.get().visit?.cue;
    if (cue?.event.cue_id !== cueId) {
      this.acknowledge(cueId, "expired");
      return;
    }
    if (this.isClosed(cueId)) {
      this.store.dispatch({ type: "cue-closed", cueId });
      return;
    }
    if (replaced !== undefined && replaced !== cueId) this.acknowledge(replaced, "expired");
    this.stop();
    this.cancelExpiry = this.clock.after(cue.expiresAt - cue.shownAt, () => this.close(cueId, "expired"));
  }

  stop(): void {
    this.cancelExpiry?.();
  }

  private isClosed(cueId: string): boolean {
    return this.saved.acknowledged.some(
      (entry) => entry.startsWith(`${cueId} `) && !entry.endsWith(" shown"),
    );
  }

  /** Each step of a cue is told once, also when a reload brings the same cue again. */
  private acknowledge(cueId: string, action: CueAction): void {
    const entry = `${cueId} ${action}`;
    if (this.saved.acknowledged.includes(entry) || this.isClosed(cueId)) return;
    this.saved.acknowledged.push(entry);
    saveVisit(this.saved);
    this.tell(cueId, action);
  }
}
