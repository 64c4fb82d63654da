import { beforeEach, describe, expect, it } from "vitest";
import { OpusRing, ticksBetween } from "../../src/session/opus_ring";

const packet = (mark: number, length = 4): Uint8Array => new Uint8Array(length).fill(mark);
const marks = (found: { payload: Uint8Array }[]): (number | undefined)[] =>
  found.map((one) => one.payload[0]);
const MS = 48;

let ring: OpusRing;

beforeEach(() => {
  ring = new OpusRing();
});

/** A stream of 20 ms packets: the n-th is marked n and begins `from + 20 n` ms on the page's clock. */
function speak(ssrc: number, first: number, from: number, count: number, mark = 0): void {
  for (let n = 0; n < count; n += 1)
    ring.add(ssrc, (first + n * 20 * MS) % 2 ** 32, packet(mark + n), from + 20 * n);
}

describe("one stream", () => {
  it("gives what has sound in a range, by its timestamps", () => {
    speak(1, 10_000, 500, 50);
    const found = ring.cut(1, 10_000 + 200 * MS, 10_000 + 260 * MS);
    // A packet may be 120 ms long: the five before the range may reach into it.
    expect(marks(found)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
    expect(found[5]?.timestamp).toBe(10_000 + 200 * MS);
  });

  it("goes on over the wrap of the clock", () => {
    const first = 2 ** 32 - 100 * MS;
    speak(1, first, 0, 20);
    const found = ring.cut(1, first + 160 * MS - 2 ** 32, first + 200 * MS - 2 ** 32);
    expect(marks(found)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(found.at(-1)?.timestamp).toBe(80 * MS);
  });

  it("has nothing of a stream that it does not know", () => {
    speak(1, 0, 0, 10);
    expect(ring.cut(2, 0, 1_000)).toEqual([]);
  });
});

describe("a fresh connection", () => {
  it("takes the place of the one before, until that one is gone back to", () => {
    speak(0, 0, 0, 10);
    speak(7, 500, 200, 10, 50);
    speak(0, 400 * MS, 400, 5, 10);
    expect(marks(ring.cut(0, 400 * MS, 500 * MS))).toEqual([55, 56, 57, 58, 59]);
    ring.resume(0);
    speak(0, 500 * MS, 500, 5, 20);
    expect(marks(ring.cut(0, 500 * MS, 600 * MS)).slice(-5)).toEqual([20, 21, 22, 23, 24]);
    ring.resume(8);
  });

  it("answers by the new clock what the old connection said", () => {
    speak(1, 50_000, 1_000, 50);
    // Nothing was encoded for 300 ms; the new stream begins 1.3 s after the old one.
    speak(2, 4_000_000_000, 2_300, 20, 100);
    const begin = 4_000_000_000;
    const found = ring.cut(2, begin - 400 * MS, begin + 20 * MS);
    expect(marks(found)).toEqual([40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 100]);
    for (const [n, one] of found.slice(0, 10).entries())
      expect(one.timestamp).toBe(begin - (1_300 - 20 * (40 + n)) * MS);
  });

  it("evens out capture times that come in coarse steps", () => {
    for (let n = 0; n < 200; n += 1) ring.add(1, n * 20 * MS, packet(0), 20 * n + (n % 3 === 0 ? 10 : 0));
    ring.add(2, 0, packet(1), 4_000 + 3);
    const [last] = ring.cut(2, -20 * MS, 0).slice(-1);
    expect(Math.abs(ticksBetween(-20 * MS, last?.timestamp ?? 0))).toBeLessThan(10 * MS);
  });

  it("counts alone as soon as it sends", () => {
    speak(1, 0, 0, 10);
    speak(2, 0, 200, 10, 100);
    speak(1, 10 * 20 * MS, 200, 10, 50);
    expect(ring.length).toBe(20);
    expect(marks(ring.cut(2, 0, 200 * MS)).filter((mark) => mark !== undefined && mark < 100)).toEqual([
      5, 6, 7, 8, 9,
    ]);
  });
});

describe("bounds", () => {
  it("forgets what is older than its time", () => {
    ring = new OpusRing(1_000, 1e6);
    speak(1, 0, 0, 200);
    expect(ring.length).toBe(51);
    expect(ring.nBytes).toBe(51 * 4);
  });

  it("forgets the oldest when its bytes are full", () => {
    ring = new OpusRing(1e6, 1_000);
    for (let n = 0; n < 100; n += 1) ring.add(1, n * 960, packet(n, 100), n * 20);
    expect(ring.nBytes).toBe(1_000);
    expect(marks(ring.cut(1, 0, 100 * 960))).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  });

  it("keeps no sound in a pause, and knows the clock after it", () => {
    speak(1, 0, 0, 10);
    for (let n = 0; n < 50; n += 1) ring.add(2, 7_000 + n * 960, null, 200 + 20 * n);
    expect(ring.length).toBe(10);
    const found = ring.cut(2, 7_000 - 100 * MS, 7_000);
    expect(marks(found).slice(-5)).toEqual([5, 6, 7, 8, 9]);
    expect(found.at(-1)?.timestamp).toBe(7_000 - 20 * MS);
  });

  it("keeps no empty packet, which stands for silence that is not sent", () => {
    speak(1, 0, 0, 3);
    ring.add(1, 3 * 960, new Uint8Array(), 60);
    ring.add(1, 4 * 960, packet(4), 80);
    expect(marks(ring.cut(1, 0, 5 * 960))).toEqual([0, 1, 2, 4]);
  });

  it("ages in a pause as well", () => {
    ring = new OpusRing(1_000);
    speak(1, 0, 0, 10);
    ring.add(1, 5_000 * MS, null, 5_000);
    expect(ring.length).toBe(0);
  });

  it("forgets everything", () => {
    speak(1, 0, 0, 10);
    ring.erase();
    expect([ring.length, ring.nBytes]).toEqual([0, 0]);
    expect(ring.cut(1, 0, 1e6)).toEqual([]);
  });
});
