/** Time as the session's parts see it, so that tests can hand them a clock of their own. */

export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Run once after `ms`. @returns what cancels it. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
