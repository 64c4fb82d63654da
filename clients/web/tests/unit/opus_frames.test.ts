import { expect, it } from "vitest";
import { headerBytes, OpusRing, packFrame } from "../../src/session/opus_frames";

const packet = (number: number, ptimeMs = 20) => ({
  sequence: number & 0xffff,
  timestamp: (number * ptimeMs * 48) >>> 0,
  payload: new Uint8Array([0x48, number & 0xff]),
});

it("packs a frame as the protocol says", () => {
  const frame = packFrame([
    { sequence: 0xfffe, timestamp: 0x8000_0001, payload: new Uint8Array([7, 8, 9]) },
    { sequence: 0xffff, timestamp: 0xffff_ffff, payload: new Uint8Array([1]) },
  ]);
  const bytes = [1, 2, 0xff, 0xfe, 0x80, 0, 0, 1, 0, 3, 7, 8, 9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 1];
  expect([...frame]).toEqual(bytes);
  expect(frame.length).toBe(headerBytes(2) + 4);
});

it("refuses a frame of none or of too many", () => {
  expect(() => packFrame([])).toThrow(RangeError);
  expect(() => packFrame(Array.from({ length: 256 }, (_, n) => packet(n)))).toThrow(RangeError);
});

it("keeps the newest second and gives it in order", () => {
  const ring = new OpusRing();
  for (let n = 0; n < 150; n += 1) ring.put(packet(n));
  expect(ring.dropped).toBe(99);
  expect(ring.take().map(({ sequence }) => sequence)).toEqual(Array.from({ length: 51 }, (_, n) => n + 99));
  expect(ring.length).toBe(0);
});

it("is bounded also where the clock wraps or stands", () => {
  const wrapping = new OpusRing();
  for (const timestamp of [0xffff_f000, 0xffff_fff0, 0x10]) wrapping.put({ ...packet(1), timestamp });
  expect(wrapping.length).toBe(3);
  const standing = new OpusRing();
  for (let n = 0; n < 100; n += 1) standing.put({ ...packet(n), timestamp: 0 });
  expect(standing.length).toBe(64);
});
