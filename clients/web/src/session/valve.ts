/**
 * Lets one packet in two seconds through while the network is as good as away: by it the server sees when the
 * network is back, and holds the phone for gone after three seconds without any.
 */

export const KEEP_ALIVE_MS = 2_000;

export class Valve {
  isHolding = false;
  private lastPassed = Number.NEGATIVE_INFINITY;

  /** Whether a packet goes out now (monotonic milliseconds). */
  passes(now: number): boolean {
    if (this.isHolding && now - this.lastPassed < KEEP_ALIVE_MS) return false;
    this.lastPassed = now;
    return true;
  }
}
