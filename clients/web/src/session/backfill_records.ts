/**
 * The body of `POST …/backfill`: records of range (u32), timestamp (u32) and length (u16), all big endian, and one
 * Opus packet each. One of length 0 says that there is no more of its range.
 */

import type { OpusRing, Packet } from "./opus_ring";
import { RTP_TICKS_PER_MS } from "./opus_ring";
import type { MissingRange } from "./protocol";

/** 8 s of sound at 16 kbit/s: the protocol takes 256 KiB, but a call must end in time on a slow link. */
export const PIECE_BYTES = 16 * 1024;

/** Sent on both sides of a range, so that the words at its edges are heard whole. */
export const MARGIN_TICKS = 1_500 * RTP_TICKS_PER_MS;

const HEADER_BYTES = 10;

export type Piece = Uint8Array<ArrayBuffer>;

/** What there is of a range, and its end, as bodies of uploads. Without a ring there is nothing but the end. */
export function piecesOf(range: MissingRange, ring: OpusRing | null): Piece[] {
  const { ssrc, first_timestamp: first, last_timestamp: last } = range;
  const packets = ring?.cut(ssrc, first - MARGIN_TICKS, last + MARGIN_TICKS) ?? [];
  return pack(range.range, [...packets, { timestamp: last, payload: new Uint8Array() }]);
}

/** The packets of a range, in pieces of at most `maxBytes`. */
export function pack(range: number, packets: readonly Packet[], maxBytes = PIECE_BYTES): Piece[] {
  const lots: Packet[][] = [];
  let size = 0;
  for (const packet of packets) {
    const added = HEADER_BYTES + packet.payload.length;
    const lot = lots.at(-1);
    if (lot && size + added <= maxBytes) {
      lot.push(packet);
      size += added;
    } else {
      lots.push([packet]);
      size = added;
    }
  }
  return lots.map((lot) => packLot(range, lot));
}

function packLot(range: number, lot: readonly Packet[]): Piece {
  const bytes = new Uint8Array(lot.reduce((sum, { payload }) => sum + HEADER_BYTES + payload.length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { timestamp, payload } of lot) {
    view.setUint32(at, range);
    view.setUint32(at + 4, timestamp);
    view.setUint16(at + 8, payload.length);
    bytes.set(payload, at + HEADER_BYTES);
    at += HEADER_BYTES + payload.length;
  }
  return bytes;
}
