/**
 * The sound's way to the ingest: one WHIP resource after another until the visit ends.
 *
 * A session outlives its peer connection: a fresh one under the same session continues the same timeline.
 */

import { Backoff } from "./backoff";
import type { Clock } from "./clock";
import { RequestError } from "./problem";
import type { Profile } from "./protocol";
import { Recovery, SilenceWatch } from "./recovery";
import type { SoundStats, WhipOptions, WhipPublisher } from "./whip";

/** `blocked`: the gateway answers but the sound does not get through. */
export type MediaLinkState = "off" | "connecting" | "connected" | "lost" | "blocked";

/** How often the reports of the far side are looked for. */
const PULSE_MS = 500;

/** From the answer to the first contact. ICE and DTLS take 4 round trips: 6 s on the slowest link that works. */
const CONNECT_MS = 10_000;

/** The part of WhipPublisher that is used. */
export type Publisher = Pick<
  WhipPublisher,
  "publish" | "follow" | "restartIce" | "pulse" | "stats" | "close" | "release"
> & {
  /** Its packets still reach the sound's memory when the network is gone. */
  readonly goesOnEncoding?: boolean;
};

export interface MediaOptions {
  createPublisher: (wiring: Pick<WhipOptions, "track" | "profile" | "onConnection">) => Publisher;
  clock: Clock;
  random: () => number;
  onState: (state: MediaLinkState) => void;
  /** The gateway refused the offer for good. */
  onRefused: (error: RequestError) => void;
}

export class MediaLink {
  private publisher: Publisher | null = null;
  /** Goes on encoding while the next one comes up, so that the sound's memory has no hole. */
  private former: Publisher | null = null;
  private track: MediaStreamTrack | null = null;
  private state: MediaLinkState = "off";
  private everConnected = false;
  private readonly backoff: Backoff;
  private cancelTimer: (() => void) | null = null;
  private retryPending = false;
  private readonly recovery: Recovery;
  private cancelPulse: (() => void) | null = null;

  constructor(
    private readonly options: MediaOptions,
    private profile: Profile,
  ) {
    this.backoff = new Backoff(options.random);
    this.recovery = new Recovery({
      clock: options.clock,
      random: options.random,
      restartIce: async () => this.publisher?.restartIce() ?? "refused",
      replace: () => this.schedule(),
      onLost: () => this.setState("lost"),
      onRecovered: () => this.setState("connected"),
    });
  }

  /** Send this track from now on, in place of any other. */
  start(track: MediaStreamTrack): void {
    this.stop();
    this.track = track;
    this.backoff.reset();
    this.setState("connecting");
    this.schedule();
  }

  /** Stop sending at once; the session has ended, or goes on elsewhere. */
  stop(): void {
    this.track = null;
    this.cancel();
    this.discard();
    this.dropFormer();
    this.setState("off");
  }

  /** Stop sending at once, and tell the gateway that the session goes on without sound. */
  release(): void {
    void this.publisher?.release();
    this.stop();
  }

  /** The page or the network is back: try at once what waits for its time. */
  wake(): void {
    if (this.recovery.isActive) this.recovery.networkChanged();
    if (!this.retryPending) return;
    this.backoff.reset();
    this.schedule();
  }

  /** The phone has another network: what works may be about to stop. */
  networkChanged(): void {
    if (this.state === "connected") this.recovery.networkChanged();
    else this.wake();
  }

  /** Send by this profile, the next connections too. @returns whether sound is sent by it now. */
  async follow(profile: Profile): Promise<boolean> {
    this.profile = profile;
    const { publisher } = this;
    return (await publisher?.follow(profile)) === true && publisher === this.publisher;
  }

  async stats(): Promise<SoundStats | null> {
    return this.state === "connected" && this.publisher ? this.publisher.stats() : null;
  }

  private setState(state: MediaLinkState): void {
    if (state === "connected") this.dropFormer();
    if (state === this.state) return;
    this.state = state;
    this.options.onState(state);
  }

  private cancel(): void {
    this.cancelTimer?.();
    this.cancelTimer = null;
    this.retryPending = false;
  }

  private discard(): void {
    this.recovery.stop();
    this.cancelPulse?.();
    this.cancelPulse = null;
    if (this.publisher?.goesOnEncoding) {
      this.dropFormer();
      this.former = this.publisher;
    } else this.publisher?.close();
    this.publisher = null;
  }

  private dropFormer(): void {
    this.former?.close();
    this.former = null;
  }

  private schedule(afterMs = this.backoff.next()): void {
    this.cancel();
    this.retryPending = true;
    this.cancelTimer = this.options.clock.after(afterMs, () => {
      this.cancel();
      void this.connect();
    });
  }

  private async connect(): Promise<void> {
    if (!this.track) return;
    this.discard();
    const publisher = this.options.createPublisher({
      track: this.track,
      profile: this.profile,
      onConnection: (state) => {
        if (publisher === this.publisher) this.onConnection(state);
      },
    });
    this.publisher = publisher;
    try {
      await publisher.publish();
    } catch (error) {
      if (publisher === this.publisher) this.onFailure(error);
      return;
    }
    if (publisher !== this.publisher || this.state === "connected") return;
    this.cancel();
    this.cancelTimer = this.options.clock.after(CONNECT_MS, () => {
      this.setState(this.everConnected ? "lost" : "blocked");
      this.schedule();
    });
  }

  private onFailure(error: unknown): void {
    this.discard();
    if (error instanceof RequestError && !error.retryable) {
      this.dropFormer();
      this.cancel();
      this.setState("lost");
      this.options.onRefused(error);
      return;
    }
    this.setState("lost");
    const wait = error instanceof RequestError ? error.problem.retryAfterS : null;
    this.schedule(wait === null ? this.backoff.next() : wait * 1000);
  }

  private onConnection(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.cancel();
      this.backoff.reset();
      this.everConnected = true;
      if (this.recovery.isActive) this.recovery.alive();
      else this.setState("connected");
      if (!this.cancelPulse && this.publisher) this.watch(this.publisher, new SilenceWatch());
    } else if (state === "failed") {
      this.recovery.stop();
      this.setState(this.everConnected ? "lost" : "blocked");
      this.schedule();
    } else if (state === "disconnected") {
      this.recovery.lost();
    }
  }

  private watch(publisher: Publisher, silence: SilenceWatch): void {
    const { clock } = this.options;
    this.cancelPulse = clock.after(PULSE_MS, async () => {
      const pulse = await publisher.pulse().catch(() => null);
      if (publisher !== this.publisher) return;
      const verdict = pulse ? silence.observe(clock.now(), pulse) : "unsure";
      if (verdict === "alive") this.recovery.alive();
      if (verdict === "silent" && this.state === "connected") this.recovery.lost();
      this.watch(publisher, silence);
    });
  }
}
