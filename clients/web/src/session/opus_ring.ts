/**
 * What this phone has sent in the last five minutes: encoded packets by stream and RTP timestamp, newest last, in
 * RAM only. A fresh peer connection has another SSRC and another clock; when each packet was captured tells how far
 * those clocks are apart.
 */

export const RTP_TICKS_PER_MS = 48;

/** As far back as the server asks. */
export const RING_MS = 300_000;

/** Five minutes at 50 kbit/s; the ladder stays below half of that. */
export const RING_BYTES = 2 * 1024 * 1024;

/** Opus has no longer packet, so one that begins so much earlier does not reach into a range. */
const LONGEST_PACKET_TICKS = 120 * RTP_TICKS_PER_MS;

/** Capture times come in steps of 10 ms; the mean of about so many is steady and still follows a drift. */
const SMOOTHING = 16;

const HALF = 2 ** 31;
const WHOLE = 2 ** 32;

/** How far `timestamp` is after `from`, both modulo 2^32. */
export const ticksBetween = (from: number, timestamp: number): number =>
  ((((timestamp - from + HALF) % WHOLE) + WHOLE) % WHOLE) - HALF;

const wrapped = (timestamp: number): number => ((Math.round(timestamp) % WHOLE) + WHOLE) % WHOLE;

interface Stream {
  ssrc: number;
  /** Of its first packet; positions count from there. */
  first: number;
  /** Ticks from the page's first moment to this stream's first packet. */
  origin: number;
}

interface Kept {
  stream: Stream;
  /** Ticks since the stream's first packet. */
  at: number;
  payload: Uint8Array;
}

export interface Packet {
  /** On the clock of the stream that was asked for. */
  timestamp: number;
  payload: Uint8Array;
}

export class OpusRing {
  private kept: Kept[] = [];
  private readonly streams: Stream[] = [];
  private bytes = 0;

  constructor(
    private readonly maxMs = RING_MS,
    private readonly maxBytes = RING_BYTES,
  ) {}

  get length(): number {
    return this.kept.length;
  }

  get nBytes(): number {
    return this.bytes;
  }

  /**
   * A packet was encoded. Two connections send at once while one takes over from the other: the newer one counts.
   *
   * @param payload null: only the time is of interest, as in a pause. An empty one is silence (DTX) and is not kept:
   *   as a record it would say that there is no more.
   * @param capturedAt milliseconds of its first sample, on one clock for all streams.
   */
  add(ssrc: number, timestamp: number, payload: Uint8Array | null, capturedAt: number): void {
    const captured = capturedAt * RTP_TICKS_PER_MS;
    let stream = this.streams.find((known) => known.ssrc === ssrc);
    if (!stream) {
      stream = { ssrc, first: timestamp, origin: captured };
      this.streams.push(stream);
    }
    if (stream !== this.streams.at(-1)) return;
    const at = ticksBetween(stream.first, timestamp);
    stream.origin += (captured - at - stream.origin) / SMOOTHING;
    if (payload?.length) {
      this.kept.push({ stream, at, payload });
      this.bytes += payload.length;
    }
    this.dropOld(stream.origin + at);
  }

  /** A stream that was left goes on, so it is the newest again. */
  resume(ssrc: number): void {
    const at = this.streams.findIndex((known) => known.ssrc === ssrc);
    if (at >= 0) this.streams.push(...this.streams.splice(at, 1));
  }

  /** What has sound between two timestamps of one stream; nothing if that stream is not known here. */
  cut(ssrc: number, first: number, end: number): Packet[] {
    const asked = this.streams.find((known) => known.ssrc === ssrc);
    if (!asked) return [];
    const from = ticksBetween(asked.first, first);
    const until = from + ticksBetween(first, end);
    const found: Packet[] = [];
    for (const { stream, at, payload } of this.kept) {
      const place = Math.round(at + stream.origin - asked.origin);
      if (place > from - LONGEST_PACKET_TICKS && place < until)
        found.push({ timestamp: wrapped(asked.first + place), payload });
    }
    return found;
  }

  /** Forget everything: the visit is over. */
  erase(): void {
    this.kept = [];
    this.streams.length = 0;
    this.bytes = 0;
  }

  /** The oldest give way to time and bytes. */
  private dropOld(now: number): void {
    const before = now - this.maxMs * RTP_TICKS_PER_MS;
    let drop = 0;
    for (const { stream, at, payload } of this.kept) {
      if (stream.origin + at >= before && this.bytes <= this.maxBytes) break;
      this.bytes -= payload.length;
      drop += 1;
    }
    if (drop > 0) this.kept.splice(0, drop);
  }
}
