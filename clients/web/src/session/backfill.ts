/**
 * Answers the server's list of missing ranges from the sound's memory: when, in which order, and until when the
 * end of a visit waits for it. Decisions only; the clock, the memory and the upload are given.
 */

import type { Piece } from "./backfill_records";
import { Backoff } from "./backoff";
import type { Clock } from "./clock";
import { RequestError } from "./problem";
import type { MissingRange, ServerEvent } from "./protocol";

/** On the lower rungs the link has no room for anything but live sound. */
const GOOD_RUNGS: readonly string[] = ["L0", "L1"];

/** The rung on which sound stays in the memory. */
export const OFFLINE = "L5";

/** Between two ranges: the live sound goes first, and a minute takes 60 calls. */
const PAUSE_MS = 1_000;

/** After a gap was told the list of what is missing may still change for so long. */
const SETTLE_MS = 2_500;

/** At the end of the visit; what is not filled by then stays a gap. */
export const END_WAIT_MS = 20_000;

/** While the server can't be reached the visit can't be ended either, so this wait costs nobody anything. */
export const AWAY_WAIT_MS = 60_000;

const LOOK_MS = 100;

export interface BackfillOptions {
  clock: Clock;
  random: () => number;
  cut: (range: MissingRange) => Promise<Piece[]>;
  /** @throws RequestError */
  upload: (piece: Piece) => Promise<void>;
}

export class Backfill {
  private ranges = new Map<number, MissingRange>();
  private readonly sent = new Set<number>();
  /** Ranges that the server will refuse again. */
  private readonly refused = new Set<number>();
  private gapAt: number | null = null;
  private rung: string;
  private isEnding = false;
  private isReachable = true;
  private isStreaming = false;
  /** Whether sound was ever on its way. */
  private hasBegun = false;
  private isRunning = false;
  private isStopped = false;
  private cancelWait: (() => void) | null = null;
  private resume: (() => void) | null = null;
  private readonly backoff: Backoff;
  /** Ranges that the server has been sent in full. */
  uploaded = 0;

  constructor(
    private readonly options: BackfillOptions,
    rung: string,
  ) {
    this.rung = rung;
    this.backoff = new Backoff(options.random);
  }

  heard(event: ServerEvent): void {
    if (event.type === "missing")
      this.ranges = new Map(event.ranges.map((range) => [range.range, range] as const));
    else if (event.type === "gap" && event.reason !== "paused") this.gapAt = this.options.clock.now();
    else if (event.type === "token") this.resume?.();
    this.run();
  }

  /** The server asks for this rung. */
  follow(rung: string): void {
    this.changing(() => {
      this.rung = rung;
    });
  }

  /** Whether the server can be reached, and whether sound gets through to it. */
  linkIs(reachable: boolean, streaming: boolean): void {
    const isBack = (reachable && !this.isReachable) || (streaming && !this.isStreaming);
    this.changing(() => {
      this.isReachable = reachable;
      this.isStreaming = streaming;
      this.hasBegun ||= streaming;
    });
    if (isBack) this.resume?.();
  }

  /** Sound does not get through: it will be asked for when the stream is back and the hole is seen. */
  private get isAway(): boolean {
    return this.hasBegun && (!this.isStreaming || this.rung === OFFLINE);
  }

  private changing(change: () => void): void {
    const wasAway = this.isAway;
    change();
    if (wasAway && !this.isAway) this.gapAt = this.options.clock.now();
    this.run();
  }

  /** Whether the server still waits for something, or may soon ask for it. */
  get isOpen(): boolean {
    if (this.hasBegun && !this.isStreaming) return true;
    if (this.gapAt !== null && this.options.clock.now() - this.gapAt < SETTLE_MS) return true;
    return [...this.ranges.keys()].some((range) => !this.refused.has(range));
  }

  /** Nothing more is said: send now whatever the rung, and wait until nothing is missing, within bounds. */
  async finish(): Promise<void> {
    this.isEnding = true;
    // What is held back is asked for when the last of it is known.
    if (this.isAway) this.gapAt = this.options.clock.now();
    this.run();
    let reachable = 0;
    for (let waited = 0; this.isOpen && !this.isStopped; waited += LOOK_MS) {
      if (reachable >= END_WAIT_MS || waited >= AWAY_WAIT_MS) return;
      if (this.isReachable) reachable += LOOK_MS;
      await new Promise<void>((resolve) => void this.options.clock.after(LOOK_MS, resolve));
    }
  }

  /** The visit is over. */
  stop(): void {
    this.isStopped = true;
    this.resume?.();
  }

  private next(): MissingRange | null {
    if (this.isStopped || (!GOOD_RUNGS.includes(this.rung) && !this.isEnding)) return null;
    for (const [number, range] of this.ranges)
      if (!this.sent.has(number) && !this.refused.has(number)) return range;
    return null;
  }

  /** One upload at a time. */
  private run(): void {
    if (this.isRunning || this.next() === null) return;
    this.isRunning = true;
    void this.work().finally(() => {
      this.isRunning = false;
      this.run();
    });
  }

  private async work(): Promise<void> {
    for (let range = this.next(); range; range = this.next()) {
      const failure = await this.send(range);
      if (failure === null) await this.wait(PAUSE_MS);
      else await this.wait(Math.max(this.backoff.next(), failure * 1000));
    }
  }

  /** @returns null when it is done with, else the seconds that the server asks to wait. */
  private async send(range: MissingRange): Promise<number | null> {
    try {
      for (const piece of await this.options.cut(range)) {
        // The list or the link may have changed; what has arrived of it is not lost.
        if (this.next()?.range !== range.range) return null;
        await this.options.upload(piece);
      }
    } catch (error) {
      // A token that has expired is renewed by an event, which ends the wait.
      const retryable = error instanceof RequestError && (error.retryable || error.problem.status === 401);
      if (retryable) return error.problem.retryAfterS ?? 0;
      this.refused.add(range.range);
      return null;
    }
    this.backoff.reset();
    this.sent.add(range.range);
    this.uploaded += 1;
    return null;
  }

  private wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        this.cancelWait?.();
        this.cancelWait = null;
        this.resume = null;
        resolve();
      };
      this.resume = finish;
      this.cancelWait = this.options.clock.after(ms, finish);
    });
  }
}
