import { expect, it } from "vitest";
import { MARGIN_TICKS, pack, piecesOf } from "../../src/session/backfill_records";
import { OpusRing } from "../../src/session/opus_ring";

const RANGE = { range: 7, ssrc: 1, first_timestamp: 200_000, last_timestamp: 248_000 };

interface Read {
  range: number;
  timestamp: number;
  length: number;
}

function read(piece: Uint8Array<ArrayBuffer> | undefined): Read[] {
  const view = new DataView(piece?.buffer ?? new ArrayBuffer(0));
  const found: Read[] = [];
  for (let at = 0; at < view.byteLength; ) {
    const length = view.getUint16(at + 8);
    found.push({ range: view.getUint32(at), timestamp: view.getUint32(at + 4), length });
    at += 10 + length;
  }
  return found;
}

it("writes records as the protocol has them, big endian", () => {
  const [piece] = pack(258, [{ timestamp: 2 ** 32 - 1, payload: new Uint8Array([9, 8]) }]);
  expect([...(piece ?? [])]).toEqual([0, 0, 1, 2, 255, 255, 255, 255, 0, 2, 9, 8]);
});

it("cuts between records, never in one", () => {
  const packets = Array.from({ length: 10 }, (_, n) => ({ timestamp: n, payload: new Uint8Array(90) }));
  const pieces = pack(1, packets, 350);
  expect(pieces.map((piece) => piece.length)).toEqual([300, 300, 300, 100]);
  expect(pieces.flatMap(read).map((one) => one.timestamp)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

it("gives a range with a margin on both sides, and its end", () => {
  const ring = new OpusRing();
  for (let n = 0; n < 500; n += 1) ring.add(1, n * 960, new Uint8Array(40), n * 20);
  const records = piecesOf(RANGE, ring).flatMap(read);
  expect(records[0]?.timestamp).toBeGreaterThanOrEqual(RANGE.first_timestamp - MARGIN_TICKS - 5_760);
  expect(records[0]?.timestamp).toBeLessThanOrEqual(RANGE.first_timestamp - MARGIN_TICKS);
  const last = records.at(-2)?.timestamp ?? 0;
  expect(RANGE.last_timestamp + MARGIN_TICKS - last).toBeLessThanOrEqual(960);
  expect(records.at(-1)).toEqual({ range: 7, timestamp: RANGE.last_timestamp, length: 0 });
});

it("says the end alone of what is not there any more, or never was", () => {
  const end = [{ range: 7, timestamp: 248_000, length: 0 }];
  expect(piecesOf(RANGE, new OpusRing()).flatMap(read)).toEqual(end);
  expect(piecesOf(RANGE, null).flatMap(read)).toEqual(end);
});
