import { expect, it } from "vitest";
import { FrameCutter, SAMPLE_RATE, SilenceGate } from "../../src/session/sound_frames";

const samples = (ms: number, value = 0.1) => new Float32Array((ms * SAMPLE_RATE) / 1000).fill(value);

it("cuts blocks of any size into frames, and loses no sample", () => {
  const cutter = new FrameCutter(20);
  const given = Float32Array.from({ length: 1_000 }, (_, n) => n);
  const frames = [0, 7, 500, 501, 999].flatMap((from, i, all) =>
    cutter.add(given.slice(from, all[i + 1] ?? 1_000)),
  );
  expect(frames.map(({ timestamp }) => timestamp)).toEqual([0, 960, 1920]);
  expect(frames.flatMap((frame) => [...frame.samples])).toEqual([...given.slice(0, 960)]);
});

it("counts from a clock that wraps", () => {
  const cutter = new FrameCutter(20, (2 ** 32 + 2) / 3 - 320);
  const timestamps = [...cutter.add(samples(40))].map(({ timestamp }) => timestamp);
  expect(timestamps).toEqual([2 ** 32 - 958, 2]);
});

it("takes another packet time with the next frame", () => {
  const cutter = new FrameCutter(20);
  expect(cutter.add(samples(30))).toHaveLength(1);
  cutter.packetTime = 60;
  const [frame] = cutter.add(samples(50));
  expect(frame?.timestamp).toBe(960);
  expect(frame?.samples).toHaveLength(960);
  cutter.packetTime = 10;
  expect(cutter.add(samples(0)).map(({ timestamp }) => timestamp)).toEqual([]);
});

/** Milliseconds at which something is sent. */
function sentAt(gate: SilenceGate, frames: Float32Array[], isDtx = true): number[] {
  let at = 0;
  return frames.flatMap((frame) => {
    const begin = at;
    at += (frame.length * 1000) / SAMPLE_RATE;
    return gate.passes(frame, isDtx) ? [begin] : [];
  });
}

it("leaves out silence after a while, tells of it now and then, and begins with the first word", () => {
  const gate = new SilenceGate();
  const quiet = Array.from({ length: 50 }, () => samples(20, 0));
  const sent = sentAt(gate, [samples(20), ...quiet, samples(20), samples(20, 0)]);
  // 200 ms of hang-over, then every 400 ms
  expect(sent).toEqual([...Array.from({ length: 11 }, (_, n) => n * 20), 620, 1020, 1040]);
});

it("sends all of it without DTX, and a quiet room always", () => {
  const quiet = Array.from({ length: 50 }, () => samples(20, 0));
  expect(sentAt(new SilenceGate(), quiet, false)).toHaveLength(50);
  const room = Array.from({ length: 50 }, () => samples(20, 0.002));
  expect(sentAt(new SilenceGate(), room)).toHaveLength(50);
});
