import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type MemoryWorker, SoundMemory } from "../../src/session/sound_memory";
import type { FromMemory, ToMemory } from "../../src/session/sound_memory_worker";

const RANGE = { range: 7, ssrc: 1, first_timestamp: 200_000, last_timestamp: 248_000 };

class FakeWorker implements MemoryWorker {
  onmessage: ((event: MessageEvent<FromMemory>) => void) | null = null;
  onerror: ((event: ErrorEvent) => void) | null = null;
  told: ToMemory[] = [];
  terminated = false;

  postMessage(message: ToMemory): void {
    this.told.push(message);
  }

  terminate(): void {
    this.terminated = true;
  }

  say(data: FromMemory): void {
    this.onmessage?.({ data } as MessageEvent<FromMemory>);
  }
}

let worker: FakeWorker;
let memory: SoundMemory;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("RTCRtpScriptTransform", class {});
  worker = new FakeWorker();
  memory = new SoundMemory(worker);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it("watches a sender once its worker runs", async () => {
  const sender = { transform: null } as unknown as RTCRtpSender;
  memory.watch(sender);
  expect(sender.transform).toBeNull();
  worker.say({ is: "ready" });
  await memory.ready;
  memory.watch(sender);
  expect(sender.transform).not.toBeNull();
  expect([memory.isWorking, memory.isWatching]).toEqual([true, true]);
  memory.watch(null);
  expect([memory.isWorking, memory.isWatching]).toEqual([true, false]);
});

it("asks the worker for a range", async () => {
  worker.say({ is: "ready" });
  const first = memory.cut(RANGE);
  const second = memory.cut({ ...RANGE, range: 8 });
  expect(worker.told.map((message) => message.do === "cut" && message.range.range)).toEqual([7, 8]);
  worker.say({ is: "cut", id: 2, pieces: [new Uint8Array([2])] });
  worker.say({ is: "cut", id: 1, pieces: [new Uint8Array([1])] });
  expect([await first, await second]).toEqual([[new Uint8Array([1])], [new Uint8Array([2])]]);
});

it("passes on what is to be kept and held", () => {
  memory.keep(false);
  memory.hold(true);
  memory.erase();
  expect(worker.told).toEqual([{ do: "keep", on: false }, { do: "hold", on: true }, { do: "erase" }]);
  memory.close();
  expect(worker.terminated).toBe(true);
  memory.keep(true);
  expect(worker.told).toHaveLength(3);
});

it.each([
  ["this browser has none", () => new SoundMemory(null)],
  [
    "its file does not load",
    () => {
      worker.onerror?.({} as ErrorEvent);
      return memory;
    },
  ],
  [
    "its file does not load in time",
    () => {
      vi.runAllTimers();
      return memory;
    },
  ],
])("without a worker (%s) nothing is watched, and every range is answered empty", async (_, make) => {
  const without = make();
  await without.ready;
  expect([without.isWorking, without.isWatching]).toEqual([false, false]);
  const sender = { transform: null } as unknown as RTCRtpSender;
  without.watch(sender);
  expect(sender.transform).toBeNull();
  const [end] = await without.cut(RANGE);
  expect([...(end ?? [])]).toEqual([0, 0, 0, 7, 0, 3, 200, 192, 0, 0]);
});

it("is told what goes by a socket, on the wall's clock", () => {
  memory.add({ timestamp: 48_000, payload: new Uint8Array([1]), isFirst: true });
  expect(worker.told).toEqual([
    {
      do: "add",
      timestamp: 48_000,
      payload: new Uint8Array([1]),
      capturedAt: performance.timeOrigin + 1_000,
      isFirst: true,
    },
  ]);
});
