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
import { TELL_MS, TransportChoice, type Way } from "./transport_choice";
import { WayBack } from "./way_back";
import type { SoundStats, WhipOptions, WhipPublisher } from "./whip";

/** `blocked`: the gateway answers but the sound does not get through. */
export type MediaLinkState = "off" | "connecting" | "connected" | "lost" | "blocked";

/** How often the reports of the far side are looked for. */
const PULSE_MS = 500;

/** The part of WhipPublisher that is used. */
export type Publisher = Pick<
  WhipPublisher,
  "publish" | "follow" | "restartIce" | "pulse" | "stats" | "close" | "release" | "isReachable"
> & {
  /** Its packets still reach the sound's memory when the network is gone. */
  readonly goesOnEncoding?: boolean;
};

export interface MediaOptions {
  createPublisher: (wiring: Pick<WhipOptions, "track" | "profile" | "onConnection">, way: Way) => Publisher;
  /** In the order to be tried; without it the peer connection alone. */
  ways?: readonly Way[];
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
  private isServerFull = false;
  private readonly backoff: Backoff;
  private cancelTimer: (() => void) | null = null;
  private retryPending = false;
  private readonly recovery: Recovery;
  private cancelPulse: (() => void) | null = null;
  private readonly choice: TransportChoice;
  private way: Way = "whip";
  private readonly wayBack: WayBack<Publisher>;
  private cancelTell: (() => void) | null = null;

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
    this.choice = new TransportChoice(options.ways ?? ["whip"]);
    this.wayBack = new WayBack({
      clock: options.clock,
      create: (onTrial) => {
        const publisher = this.create("whip", (state) => {
          if (publisher === this.publisher) this.onConnection(state);
          else onTrial(state);
        });
        return publisher;
      },
      onBack: (publisher) => this.comeBack(publisher),
    });
  }

  /** Send this track from now on, in place of any other. */
  start(track: MediaStreamTrack): void {
    this.stop();
    this.track = track;
    this.backoff.reset();
    this.setState("connecting");
    this.schedule();
    this.cancelTell = this.options.clock.after(TELL_MS, () => {
      if (!this.everConnected && !this.isServerFull) this.setState("blocked");
    });
  }

  /** Stop sending at once; the session has ended, or goes on elsewhere. */
  stop(): void {
    this.track = null;
    this.cancel();
    this.cancelTell?.();
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

  /** The server hears nothing. A peer connection knows by its reports; of a socket nobody else tells. */
  unheard(): void {
    if (this.way === "websocket" && this.state === "connected") this.recovery.lost();
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
    this.wayBack.stop();
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

  private create(way: Way, onConnection: (state: RTCPeerConnectionState) => void): Publisher {
    const track = this.track as MediaStreamTrack;
    return this.options.createPublisher({ track, profile: this.profile, onConnection }, way);
  }

  private async connect(): Promise<void> {
    if (!this.track) return;
    this.discard();
    const way = this.choice.next();
    const publisher = this.create(way, (state) => {
      if (publisher === this.publisher) this.onConnection(state);
    });
    this.publisher = publisher;
    this.way = way;
    const begunAt = this.options.clock.now();
    this.expect(publisher, begunAt, null);
    try {
      await publisher.publish();
    } catch (error) {
      if (publisher === this.publisher) this.onFailure(error);
      return;
    }
    if (publisher !== this.publisher || this.state === "connected") return;
    this.expect(publisher, begunAt, this.options.clock.now());
  }

  /** Give up a connection that does not come up in its time. */
  private expect(publisher: Publisher, begunAt: number, answeredAt: number | null): void {
    this.cancel();
    const { clock } = this.options;
    const { isReachable } = publisher;
    const left = this.choice.givesUpAt(this.way, { begunAt, answeredAt, isReachable }) - clock.now();
    if (left <= 0) this.tryNext(this.everConnected ? "lost" : "blocked");
    else if (Number.isFinite(left))
      this.cancelTimer = clock.after(left, () => this.expect(publisher, begunAt, answeredAt));
  }

  /** The other way at once, while there is one; then say it, and go on with pauses. */
  private tryNext(state: MediaLinkState, waitMs: number | null = null): void {
    if (waitMs === null && !this.choice.isRoundOver) {
      this.schedule(0);
      return;
    }
    this.setState(state);
    this.schedule(waitMs ?? this.backoff.next());
  }

  /** A peer connection came up while the socket was in use. */
  private comeBack(publisher: Publisher): void {
    this.discard();
    this.publisher = publisher;
    this.way = "whip";
    this.choice.cameUp("whip");
    void publisher.follow(this.profile);
    this.watch(publisher, new SilenceWatch());
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
    const wait = error instanceof RequestError ? error.problem.retryAfterS : null;
    this.isServerFull = wait !== null;
    this.tryNext(
      this.state === "blocked" && !this.isServerFull ? "blocked" : "lost",
      wait === null ? null : wait * 1000,
    );
  }

  private onConnection(state: RTCPeerConnectionState): void {
    if (state === "connected") {
      this.cancel();
      this.backoff.reset();
      this.choice.cameUp(this.way);
      if (this.way === "websocket") this.wayBack.start();
      this.everConnected = true;
      if (this.recovery.isActive) this.recovery.alive();
      else this.setState("connected");
      if (!this.cancelPulse && this.publisher) this.watch(this.publisher, new SilenceWatch());
    } else if (state === "failed") {
      this.recovery.stop();
      this.tryNext(this.everConnected ? "lost" : "blocked");
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
