/**
 * When a connection counts as lost, and how it is brought back: first by an ICE restart, which keeps DTLS and the
 * stream, then by a fresh peer connection under the same session. Decisions only; the clock is given.
 */

import { Backoff } from "./backoff";
import type { Clock } from "./clock";

/** The server reports once a second, varied by half: two reports are missing. Waiting for ICE to say so takes 5 s. */
const SILENT_MS = 2_500;

/** Before the first report it and the first packet are under way: two one-way times of a slow link more. */
const FIRST_REPORT_MS = 5_000;

/** From the answer to an ICE restart to the first sign of life: checks and a report take 3 s on a slow link. */
const FOLLOW_MS = 5_000;

/** What a moment shows of a connection: packets sent so far, and a number that changes with each report. */
export interface Pulse {
  sent: number;
  report: number | null;
}

/** Says when packets go out and nobody has reported on them for too long. */
export class SilenceWatch {
  private report: number | null = null;
  private sentThen = 0;
  private unansweredSince: number | null = null;

  /** @returns `alive` when a new report came, `silent` when one is overdue. */
  observe(now: number, pulse: Pulse): "alive" | "silent" | "unsure" {
    if (pulse.report !== null && pulse.report !== this.report) {
      this.report = pulse.report;
      this.sentThen = pulse.sent;
      this.unansweredSince = null;
      return "alive";
    }
    // Nothing goes out, nothing is to be reported: a muted microphone or a browser that sleeps is no loss.
    if (pulse.sent > this.sentThen) this.unansweredSince ??= now;
    if (this.unansweredSince === null) return "unsure";
    const limit = this.report === null ? FIRST_REPORT_MS : SILENT_MS;
    return now - this.unansweredSince >= limit ? "silent" : "unsure";
  }
}

/** `refused`: this connection can't be restarted. `unreachable`: ask again. */
export type RestartOutcome = "answered" | "refused" | "unreachable";

export interface RecoveryOptions {
  clock: Clock;
  random: () => number;
  restartIce: () => Promise<RestartOutcome>;
  /** Make a fresh peer connection. */
  replace: () => void;
  onLost: () => void;
  onRecovered: () => void;
}

/** One loss after another of one peer connection. */
export class Recovery {
  private readonly backoff: Backoff;
  private attempt = 0;
  private state: "up" | "asking" | "answered" = "up";
  private cancelTimer: (() => void) | null = null;

  constructor(private readonly options: RecoveryOptions) {
    this.backoff = new Backoff(options.random);
  }

  get isActive(): boolean {
    return this.state !== "up";
  }

  /** Disconnected, or silent. */
  lost(): void {
    if (this.state !== "up") return;
    this.options.onLost();
    this.begin();
  }

  /** The phone has another network: what is under way may be bound for the old one. */
  networkChanged(): void {
    if (this.state === "up") this.lost();
    else this.begin();
  }

  /** A report came, or ICE is connected. Before the answer it may be the old path's last. */
  alive(): void {
    if (this.state !== "answered") return;
    this.stop();
    this.options.onRecovered();
  }

  /** The connection is of no interest any more. */
  stop(): void {
    this.state = "up";
    this.attempt += 1;
    this.cancelTimer?.();
    this.cancelTimer = null;
  }

  private begin(): void {
    this.backoff.reset();
    this.schedule();
  }

  private schedule(): void {
    this.stop();
    this.state = "asking";
    this.cancelTimer = this.options.clock.after(this.backoff.next(), () => void this.ask());
  }

  private async ask(): Promise<void> {
    this.cancelTimer = null;
    this.attempt += 1;
    const attempt = this.attempt;
    const outcome = await this.options.restartIce();
    if (attempt !== this.attempt) return;
    if (outcome === "unreachable") {
      this.schedule();
      return;
    }
    if (outcome === "refused") {
      this.giveUp();
      return;
    }
    this.state = "answered";
    this.cancelTimer = this.options.clock.after(FOLLOW_MS, () => this.giveUp());
  }

  private giveUp(): void {
    this.stop();
    this.options.replace();
  }
}
