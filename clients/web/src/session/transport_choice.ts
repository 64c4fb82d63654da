/**
 * Which way the sound goes: a peer connection (directly, or by a relay in the same ICE), or the WebSocket. Pure.
 *
 * The peer connection first. Not connected after 5 s, UDP is taken as blocked and the WebSocket is opened, so that
 * there is sound within 10 s. On the WebSocket the peer connection is tried again each minute: over TCP one lost
 * packet holds up all that follow it.
 */

export type Way = "whip" | "websocket";

/** How the sound goes, in the words of the screen: `relay` is a peer connection through TURN. */
export type Path = "direct" | "relay" | "websocket";

/** ICE and DTLS take four round trips of a link that is not hopeless. */
const UDP_WAIT_MS = 5_000;

/** Candidates and the answer may take most of that; ICE's first checks need 2.6 s on the slowest link that works. */
const AFTER_ANSWER_MS = 3_000;

/** ICE and DTLS, or TCP, TLS and the upgrade, on the slowest link that works: 6 s. */
const CONNECT_MS = 10_000;

/** Then the user is told, whatever is still being tried: within 10 s of the click that began the visit. */
export const TELL_MS = 8_500;

/** A phone that left the shop's network finds UDP open again; asking more often costs data on 2G. */
export const RETURN_MS = 60_000;

/** What is known of a connection that is being made; monotonic milliseconds. */
export interface Opening {
  begunAt: number;
  /** When the gateway answered. */
  answeredAt: number | null;
  /** The far side has answered ICE's checks: then the link is only slow. */
  isReachable: boolean;
}

export class TransportChoice {
  private tries = 0;
  private used: Way | null = null;

  /** @param ways in the order to be tried. */
  constructor(private readonly ways: readonly Way[]) {}

  /** The way to try now: what worked last, then the other, in turn. */
  next(): Way {
    const first = Math.max(0, this.used === null ? 0 : this.ways.indexOf(this.used));
    const way = this.ways[(first + this.tries) % this.ways.length] ?? "whip";
    this.tries += 1;
    return way;
  }

  /** Sound goes this way. */
  cameUp(way: Way): void {
    this.used = way;
    this.tries = 0;
  }

  /** Whether every way has been tried since one worked last. */
  get isRoundOver(): boolean {
    return this.tries % this.ways.length === 0;
  }

  /** When this attempt is given up for the next one; infinite while the request's own timeout counts. */
  givesUpAt(way: Way, { begunAt, answeredAt, isReachable }: Opening): number {
    if (way === "websocket") return begunAt + CONNECT_MS;
    if (this.ways.length === 1)
      return answeredAt === null ? Number.POSITIVE_INFINITY : answeredAt + CONNECT_MS;
    if (isReachable) return begunAt + CONNECT_MS;
    return Math.max(begunAt + UDP_WAIT_MS, (answeredAt ?? 0) + AFTER_ANSWER_MS);
  }
}
