/**
 * One visit while it runs: wires the events, the sound and the source to the state, and the user's hand to them.
 *
 * What is decided here is decided by the parts; this file only says who is told what.
 */

import { CueDesk } from "./cue_desk";
import { endSession, fetchSummary, uploadSound } from "./session/api";
import { AudioSocket, type BinarySocket } from "./session/audio_socket";
import { Backfill, OFFLINE } from "./session/backfill";
import { Backoff } from "./session/backoff";
import { systemClock } from "./session/clock";
import { DataUsed } from "./session/data_used";
import { type EndOfStream, EventStream, type Socket } from "./session/events";
import { MediaLink, type Publisher } from "./session/media";
import { NetworkSigns } from "./session/network_signs";
import { captureOpus } from "./session/opus_capture";
import { canEncodeOpus } from "./session/opus_encoder";
import { RequestError } from "./session/problem";
import type { ProfileEvent, ServerEvent } from "./session/protocol";
import { forgetVisit, type SavedVisit, saveVisit } from "./session/saved_visit";
import { ServerClock } from "./session/server_clock";
import type { SoundMemory } from "./session/sound_memory";
import type { AudioSource } from "./session/source";
import type { Way } from "./session/transport_choice";
import { type SoundStats, type WhipOptions, WhipPublisher } from "./session/whip";
import type { Store } from "./state/store";
import { troubleOf } from "./trouble";

/** Often enough to see the link change, rare beside the audio (0.2 kbps). */
const STATS_INTERVAL_MS = 5_000;

/** The summary comes as an event within a second; then it is asked for, in case the events socket is gone. */
const SUMMARY_EVENT_MS = 3_000;

export class LiveVisit {
  private stream: EventStream;
  private readonly media: MediaLink;
  private readonly backfill: Backfill;
  /** The cue on the screen, for the page to close. */
  readonly cues: CueDesk;
  private source: AudioSource | null = null;
  private readonly clock = systemClock;
  private readonly serverClock = new ServerClock(performance.timeOrigin);
  private cancelStats: (() => void) | null = null;
  private cancelSummary: (() => void) | null = null;
  private readonly dataUsed: DataUsed;
  private readonly signs = new NetworkSigns({
    onWake: () => {
      this.stream.wake();
      this.media.wake();
    },
    onChange: () => this.media.networkChanged(),
  });
  private command = 0;
  private collecting = false;
  private over = false;

  constructor(
    private readonly store: Store,
    private readonly saved: SavedVisit,
    private readonly memory: SoundMemory,
  ) {
    const { session } = saved;
    this.dataUsed = new DataUsed(saved.dataUsed);
    this.stream = this.createStream();
    this.media = new MediaLink(
      {
        createPublisher: (wiring, way) => this.createPublisher(wiring, way),
        ways: canEncodeOpus() ? ["whip", "websocket"] : ["whip"],
        clock: this.clock,
        random: Math.random,
        onState: (state) => {
          store.dispatch({ type: "audio", state });
          this.linkChanged();
          if (state === "connected") this.lookAtSound();
          // A file begins when it can be heard, so that its first words are not lost.
          if (state === "connected") this.startSource();
        },
        onRefused: (error) => store.dispatch({ type: "trouble", trouble: troubleOf(error) }),
      },
      session.profile,
    );
    this.cues = new CueDesk(store, saved, this.clock, (cueId, action) =>
      this.stream.send({
        type: "ack",
        cue_id: cueId,
        action,
        at: this.serverClock.at(this.clock.now()),
      }),
    );
    this.backfill = new Backfill(
      {
        clock: this.clock,
        random: Math.random,
        cut: (range) => memory.cut(range),
        upload: (piece) => uploadSound(session.session_id, session.session_token, piece),
      },
      session.profile.rung,
    );
  }

  /** Open the events, and keep the visit for a reload. */
  open(): void {
    saveVisit(this.saved);
    this.signs.start();
    this.stream.start();
    this.reportStats();
  }

  /** Send this source from now on. */
  attach(source: AudioSource): void {
    this.source?.stop();
    this.source = source;
    this.saved.source = source.kind;
    saveVisit(this.saved);
    const { kind, name } = source;
    this.store.dispatch({ type: "source", source: { kind, name }, state: "on" });
    if (this.saved.paused) source.pause();
    this.memory.keep(!this.saved.paused);
    void this.memory.ready.then(() => {
      if (source !== this.source) return;
      this.store.dispatch({ type: "remembers", works: this.memory.isWorking });
      this.media.start(source.track);
    });
  }

  sourceEnded(): void {
    const state = this.source?.kind === "file" ? "finished" : "lost";
    // The file's silence goes on being sent, so that the last words are settled by it.
    if (state === "lost") this.media.release();
    this.store.dispatch({ type: "source-state", state });
  }

  sourceMuted(muted: boolean): void {
    this.store.dispatch({ type: "source-state", state: muted ? "muted" : "on" });
  }

  /** Loudness of this moment, 0 to 1. */
  level(): number {
    return this.source?.level() ?? 0;
  }

  setPaused(paused: boolean): void {
    this.memory.keep(!paused);
    if (paused) this.source?.pause();
    else this.source?.resume();
    this.stream.send({ type: paused ? "pause" : "resume" });
    this.saved.paused = paused;
    saveVisit(this.saved);
    this.store.dispatch({ type: "paused", paused });
  }

  tick(stage: string, done: boolean): void {
    this.store.dispatch({ type: "ticked", stage, done });
    this.saved.ticked = this.store.get().visit?.ticked ?? [];
    saveVisit(this.saved);
  }

  /** Bring the visit into this tab when another one has it. */
  takeOver(): void {
    this.store.dispatch({ type: "halted", why: null });
    this.stream.close();
    this.stream = this.createStream();
    this.stream.start();
  }

  /** Stop listening at once, then close the visit and wait for its summary. */
  async end(): Promise<void> {
    this.store.dispatch({ type: "ending" });
    await this.fill();
    this.source?.stop();
    this.source = null;
    const backoff = new Backoff(Math.random);
    while (!this.over) {
      try {
        await endSession(this.saved.session.end_url, this.saved.session.session_token);
        break;
      } catch (error) {
        // Refused: it has ended already, or this token may not; the summary's answer will tell which.
        if (!(error instanceof RequestError) || !error.retryable) break;
        await this.sleep(backoff.next());
      }
    }
    this.media.stop();
    this.expectSummary(SUMMARY_EVENT_MS);
  }

  /** Send what the network has lost, within bounds. The silence of the source keeps up the stream meanwhile. */
  private async fill(): Promise<void> {
    const { rung } = this.store.get().visit ?? {};
    this.memory.keep(false);
    // The last packet of what was held says where it ends; what follows is silence and costs next to nothing.
    this.memory.hold(false);
    if (!this.backfill.isOpen && rung !== OFFLINE) return;
    this.source?.pause();
    this.store.dispatch({ type: "filling", on: true });
    await this.backfill.finish();
    this.store.dispatch({ type: "filling", on: false });
  }

  /** Leave the visit: nothing of it runs or is kept after this. */
  dispose(): void {
    this.over = true;
    this.close();
    this.stream.close();
    this.cues.stop();
    this.cancelStats?.();
    this.cancelSummary?.();
    this.signs.stop();
    forgetVisit();
  }

  private createStream(): EventStream {
    const { session } = this.saved;
    return new EventStream({
      url: new URL(session.events_url, location.href).href.replace(/^http/, "ws"),
      token: () => session.session_token,
      openSocket: (url, protocols): Socket => new WebSocket(url, protocols) as Socket,
      clock: this.clock,
      random: Math.random,
      onEvent: (event) => this.receive(event),
      onLink: (state) => {
        this.store.dispatch({ type: "link", state });
        this.linkChanged();
      },
      onEnd: (why) => this.streamEnded(why),
      onRejected: () => this.store.dispatch({ type: "rejected" }),
      askWhy: () => this.askWhy(),
    });
  }

  private createPublisher(
    wiring: Pick<WhipOptions, "track" | "profile" | "onConnection">,
    way: Way,
  ): Publisher {
    const { session } = this.saved;
    const token = () => session.session_token;
    if (way === "whip")
      return new WhipPublisher({
        ...wiring,
        url: session.whip_url,
        iceServers: () => session.ice_servers,
        token,
        onSender: (sender) => this.memory.watch(sender),
      });
    this.memory.watch(null);
    return new AudioSocket({
      ...wiring,
      url: new URL(session.audio_url, location.href).href.replace(/^http/, "ws"),
      token,
      clock: this.clock,
      openSocket: (url, protocols): BinarySocket => new WebSocket(url, protocols) as BinarySocket,
      capture: captureOpus,
      onPacket: (packet) => this.memory.add(packet),
    });
  }

  private receive(event: ServerEvent): void {
    const { saved } = this;
    this.backfill.heard(event);
    if (event.type === "pong") {
      this.serverClock.add(event.t, this.clock.now(), event.server_at);
      return;
    }
    if (event.type === "token") {
      saved.session.session_token = event.session_token;
      if (event.ice_servers) saved.session.ice_servers = event.ice_servers;
      saveVisit(saved);
      return;
    }
    if (event.type === "profile") void this.follow(event);
    const before = this.store.get().visit?.cue;
    this.store.dispatch({ type: "server", event, now: this.clock.now() });
    if (event.type === "cue") this.cues.arrived(event.cue_id, before?.event.cue_id);
    if (event.type === "state" && event.state === "ended") this.serverEnded();
    if (event.type === "state" && event.state === "suspended") this.media.unheard();
    if (event.type === "summary") this.dispose();
  }

  /** A command comes again until it is acknowledged, and an old one after a reconnect: that is not obeyed. */
  private async follow(event: ProfileEvent): Promise<void> {
    if (event.command < this.command) return;
    this.command = event.command;
    this.memory.hold(event.rung === OFFLINE);
    this.backfill.follow(event.rung);
    const followed = await this.media.follow(event);
    // Who keeps nothing goes on sending, and does not say that it pauses.
    if (!followed || (event.rung === OFFLINE && !this.memory.isWatching)) return;
    const { fraction_lost: _, ...stats } = (await this.media.stats().catch(() => null)) ?? {};
    this.stream.send({ type: "applied", command: event.command, rung: event.rung, stats });
  }

  private statsCame({ fraction_lost: lost, path, ...stats }: SoundStats): void {
    const { saved } = this;
    this.stream.sendIfOpen({ type: "stats", ...stats });
    saved.dataUsed = this.dataUsed.add(stats);
    saveVisit(saved);
    this.store.dispatch({
      type: "sound",
      rttMs: stats.rtt_ms ?? null,
      lost: lost ?? null,
      dataUsed: saved.dataUsed,
      path: path ?? null,
    });
  }

  /** Nothing of this visit is heard or sent, and what was is forgotten. */
  private silence(): void {
    this.source?.stop();
    this.source = null;
    this.media.stop();
    this.memory.erase();
  }

  private close(): void {
    this.silence();
    this.backfill.stop();
    this.memory.close();
  }

  private linkChanged(): void {
    const { visit } = this.store.get();
    this.backfill.linkIs(visit?.link === "open", visit?.audio === "connected");
  }

  private startSource(): void {
    this.source?.play();
    if (this.saved.paused) this.source?.pause();
  }

  private streamEnded(why: EndOfStream): void {
    if (why === "ended") {
      this.serverEnded();
      return;
    }
    // Nobody sees the visit here any more, so nothing is listened to; and with the visit in another tab, two
    // pages would take the sound's place from each other for ever.
    this.silence();
    this.store.dispatch({ type: "source-state", state: "off" });
    this.store.dispatch({ type: "halted", why });
  }

  private serverEnded(): void {
    if (this.over) return;
    this.close();
    this.store.dispatch({ type: "ending" });
    this.expectSummary(SUMMARY_EVENT_MS);
  }

  private expectSummary(withinMs: number): void {
    if (this.over) return;
    this.cancelSummary?.();
    this.cancelSummary = this.clock.after(withinMs, () => void this.collectSummary());
  }

  private async collectSummary(): Promise<void> {
    if (this.collecting) return;
    this.collecting = true;
    const backoff = new Backoff(Math.random);
    while (!this.over) {
      let waitMs: number;
      try {
        const answer = await fetchSummary(this.saved.session.summary_url, this.saved.session.session_token);
        if ("summary" in answer) {
          this.store.dispatch({ type: "summary", summary: answer.summary });
          this.dispose();
          return;
        }
        waitMs = answer.retryAfterS * 1000;
      } catch (error) {
        if (!(error instanceof RequestError) || !error.retryable) {
          this.store.dispatch({ type: "trouble", trouble: troubleOf(error) });
          break;
        }
        waitMs = Math.max(backoff.next(), (error.problem.retryAfterS ?? 0) * 1000);
      }
      await this.sleep(waitMs);
    }
    this.collecting = false;
  }

  /** A browser does not say why a handshake was refused; the same token over HTTP does. */
  private async askWhy(): Promise<EndOfStream | null> {
    try {
      await fetchSummary(this.saved.session.summary_url, this.saved.session.session_token);
      return null;
    } catch (error) {
      const status = error instanceof RequestError ? error.problem.status : 0;
      if (status === 401) return "token";
      return status === 403 ? "refused" : null;
    }
  }

  private reportStats(): void {
    this.cancelStats = this.clock.after(STATS_INTERVAL_MS, () => {
      this.reportStats();
      this.lookAtSound();
    });
  }

  private lookAtSound(): void {
    void this.media.stats().then((stats) => {
      if (stats && Object.keys(stats).length > 0) this.statsCame(stats);
    });
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.after(ms, resolve);
    });
  }
}
