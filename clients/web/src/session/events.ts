/**
 * The events socket: one stream of events over as many connections as it takes.
 *
 * After a loss it comes back by itself and gives the last event id, so that every event arrives once. What the
 * client says meanwhile waits in a bounded outbox.
 */

import { Backoff } from "./backoff";
import type { Clock } from "./clock";
import type { ClientMessage, ServerEvent } from "./protocol";
import { ProtocolError, parseEvent } from "./protocol_reader";

export type LinkState = "connecting" | "open" | "lost" | "closed";

/** Why the stream is over for good. */
export type EndOfStream = "ended" | "token" | "refused" | "replaced" | "misbehaved";

const SUBPROTOCOL = "fieldcoach.events.v1";

const CLOSE_CODES: Record<number, EndOfStream> = {
  1000: "ended",
  1008: "misbehaved",
  4401: "token",
  4403: "refused",
  4409: "replaced",
};

/**
 * Between two pings, and the time that each has for its answer. A 2G uplink answers within 1.5 s, 3 s with a full
 * queue in front of it; twice that is a dead link. It makes 10 of the 100 messages a minute that are allowed.
 */
const PING_MS = 6_000;

/** TCP, TLS and the upgrade are 4 round trips: 6 s on the slowest link that still works. */
const OPENING_MS = 10_000;

/** A visit has at most 6 cues with 2 acknowledgements each; 64 is a bound that only a fault can reach. */
const OUTBOX_MAX = 64;

/** A refused handshake looks like a lost network to a browser: ask by HTTP from the third one on. */
const ASK_AFTER_ATTEMPTS = 3;

/** The part of WebSocket that is used. */
export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export interface EventsOptions {
  /** Without query. */
  url: string;
  /** The session token of this moment: it is renewed while the stream runs. */
  token: () => string;
  openSocket: (url: string, protocols: string[]) => Socket;
  clock: Clock;
  random: () => number;
  onEvent: (event: ServerEvent) => void;
  onLink: (state: LinkState) => void;
  onEnd: (why: EndOfStream) => void;
  /** A message that does not fit the protocol. */
  onRejected: (error: ProtocolError) => void;
  /** Why handshakes may be failing: null when the gateway knows of no reason, or did not answer. */
  askWhy: () => Promise<EndOfStream | null>;
}

export class EventStream {
  private socket: Socket | null = null;
  private isOpen = false;
  private closed = false;
  private state: LinkState = "connecting";
  private lastId: string | null = null;
  private tokenInUse = "";
  private readonly backoff: Backoff;
  private readonly outbox: ClientMessage[] = [];
  private cancelRetry: (() => void) | null = null;
  private cancelPing: (() => void) | null = null;
  private cancelOpening: (() => void) | null = null;
  private pingUnanswered = false;
  /** Messages that found the outbox full. */
  dropped = 0;

  constructor(private readonly options: EventsOptions) {
    this.backoff = new Backoff(options.random);
  }

  start(): void {
    this.retry();
  }

  /** Say something now, or as soon as the link is back. */
  send(message: ClientMessage): void {
    if (this.closed) return;
    if (this.isOpen && this.socket) {
      this.socket.send(JSON.stringify(message));
      return;
    }
    if (this.outbox.length >= OUTBOX_MAX) {
      this.outbox.shift();
      this.dropped += 1;
    }
    this.outbox.push(message);
  }

  /** Say it if the link is open; what is only true now is not kept for later. */
  sendIfOpen(message: ClientMessage): void {
    if (this.isOpen) this.send(message);
  }

  /** The network is back: do not wait for the back-off, and see at once whether an open link still lives. */
  wake(): void {
    if (this.closed) return;
    if (this.isOpen) {
      if (!this.pingUnanswered) this.ping();
      return;
    }
    this.backoff.reset();
    if (this.cancelRetry) this.retry();
  }

  close(): void {
    if (this.closed) return;
    this.dropSocket(1000);
    this.finish();
  }

  private finish(): void {
    this.closed = true;
    this.cancelRetry?.();
    this.cancelRetry = null;
    this.setState("closed");
  }

  private setState(state: LinkState): void {
    if (state === this.state) return;
    this.state = state;
    this.options.onLink(state);
  }

  private retry(): void {
    this.cancelRetry?.();
    this.cancelRetry = this.options.clock.after(this.backoff.next(), () => {
      this.cancelRetry = null;
      this.connect();
    });
  }

  private connect(): void {
    const { url, token, openSocket, clock } = this.options;
    this.tokenInUse = token();
    const resume = this.lastId === null ? "" : `?after=${encodeURIComponent(this.lastId)}`;
    const socket = openSocket(`${url}${resume}`, [SUBPROTOCOL, `bearer.${this.tokenInUse}`]);
    this.socket = socket;
    this.cancelOpening = clock.after(OPENING_MS, () => this.lose());
    socket.onopen = () => {
      this.cancelOpening?.();
      this.isOpen = true;
      this.setState("open");
      for (const message of this.outbox.splice(0)) this.send(message);
      this.ping();
    };
    socket.onmessage = ({ data }) => this.receive(data);
    socket.onclose = ({ code }) => this.onClose(code);
  }

  private receive(data: unknown): void {
    this.pingUnanswered = false;
    // Only now: a gateway that accepts and closes at once must not be called again without a pause.
    this.backoff.reset();
    let parsed: ReturnType<typeof parseEvent>;
    try {
      parsed = parseEvent(typeof data === "string" ? data : "");
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.options.onRejected(error);
        return;
      }
      throw error;
    }
    if (parsed.id !== null) this.lastId = parsed.id;
    if (parsed.event) this.options.onEvent(parsed.event);
  }

  private ping(): void {
    this.cancelPing?.();
    const { clock } = this.options;
    this.pingUnanswered = true;
    this.send({ type: "ping", t: clock.now() });
    // Whether this ping was answered, not when the last message came: a hidden tab's timers run once a
    // minute, and a comparison of times would then declare a healthy link dead.
    this.cancelPing = clock.after(PING_MS, () => {
      if (this.pingUnanswered) this.lose();
      else this.ping();
    });
  }

  /** The socket is of no use any more, though nobody closed it. */
  private lose(): void {
    this.dropSocket(4000);
    this.afterLoss();
  }

  private dropSocket(code: number): void {
    const socket = this.socket;
    this.socket = null;
    this.isOpen = false;
    this.pingUnanswered = false;
    this.cancelPing?.();
    this.cancelOpening?.();
    if (!socket) return;
    // A half-open connection reports its close minutes later: that must not touch the next one.
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
  }

  private onClose(code: number): void {
    const opened = this.isOpen;
    this.dropSocket(1000);
    const why = CLOSE_CODES[code];
    const renewed = why === "token" && this.options.token() !== this.tokenInUse;
    if (why && !renewed) {
      this.finish();
      this.options.onEnd(why);
      return;
    }
    if (!opened && this.backoff.attempts >= ASK_AFTER_ATTEMPTS) void this.askThenRetry();
    else this.afterLoss();
  }

  private afterLoss(): void {
    this.setState("lost");
    this.retry();
  }

  private async askThenRetry(): Promise<void> {
    this.setState("lost");
    const why = await this.options.askWhy();
    if (this.closed) return;
    if (why) {
      this.finish();
      this.options.onEnd(why);
    } else this.retry();
  }
}
