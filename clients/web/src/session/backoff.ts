/**
 * When to try again. The first try is at once, since most losses are a hand-over between cells that is over
 * before it is noticed; the last step repeats, so that a phone in a cellar costs the gateway 0.14 calls a second.
 */

export const STEPS_MS: readonly number[] = [0, 300, 1200, 2700, 4800, 7000];

/** ± share of a step. Without it every phone of a restarted gateway would come back in the same instant. */
const JITTER = 0.25;

export class Backoff {
  private tries = 0;

  /** @param random 0 to 1, as Math.random gives it. */
  constructor(private readonly random: () => number) {}

  /** How many tries since the last success. */
  get attempts(): number {
    return this.tries;
  }

  /** Milliseconds to wait before the next try. */
  next(): number {
    const step = STEPS_MS[Math.min(this.tries, STEPS_MS.length - 1)] ?? 0;
    this.tries += 1;
    return step * (1 + JITTER * (2 * this.random() - 1));
  }

  /** A try has succeeded. */
  reset(): void {
    this.tries = 0;
  }
}
