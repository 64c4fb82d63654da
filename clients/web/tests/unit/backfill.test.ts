import { beforeEach, describe, expect, it } from "vitest";
import { AWAY_WAIT_MS, Backfill, END_WAIT_MS } from "../../src/session/backfill";
import type { Piece } from "../../src/session/backfill_records";
import { offline, problemOf, RequestError } from "../../src/session/problem";
import type { ServerEvent } from "../../src/session/protocol";
import { GAP, MISSING, TOKEN } from "./samples";
import { settled, VirtualClock } from "./virtual_clock";

const missing = (...ranges: number[]): ServerEvent => ({
  type: "missing",
  id: "e",
  ranges: ranges.map((range) => ({
    range,
    ssrc: 9,
    first_timestamp: range * 1_000,
    last_timestamp: range * 1_001,
  })),
});
const refusal = (status: number, retryAfter: string | null = null) =>
  new RequestError(problemOf(status, null, retryAfter));

let clock: VirtualClock;
let cuts: number[];
let uploads: string[];
let faults: (Error | null)[];
let answers: (() => void)[];
let hangs: boolean;
let backfill: Backfill;

beforeEach(() => {
  clock = new VirtualClock();
  cuts = [];
  uploads = [];
  faults = [];
  answers = [];
  hangs = false;
  backfill = new Backfill(
    {
      clock,
      random: () => 0.5,
      cut: async ({ range }) => {
        cuts.push(range);
        return [1, 2].map((part) => new Uint8Array([range, part]));
      },
      upload: async (piece: Piece) => {
        uploads.push([...piece].join("."));
        if (hangs) await new Promise<void>((resolve) => void answers.push(resolve));
        const fault = faults.shift();
        if (fault) throw fault;
      },
    },
    "L1",
  );
  backfill.linkIs(true, true);
});

describe("uploading", () => {
  it("sends each range once, one after another", async () => {
    backfill.heard(MISSING as ServerEvent);
    await settled();
    expect(uploads).toEqual(["7.1", "7.2"]);
    await clock.pass(1_000);
    expect(uploads).toEqual(["7.1", "7.2", "8.1", "8.2"]);
    backfill.heard(MISSING as ServerEvent);
    await clock.pass(5_000);
    expect(uploads).toHaveLength(4);
    expect(backfill.uploaded).toBe(2);
  });

  it("never has two calls under way", async () => {
    hangs = true;
    backfill.heard(missing(1));
    await settled();
    backfill.heard(missing(1, 2));
    backfill.follow("L0");
    await clock.pass(10_000);
    expect(uploads).toEqual(["1.1"]);
    hangs = false;
    answers.pop()?.();
    await clock.pass(2_000);
    expect(uploads).toEqual(["1.1", "1.2", "2.1", "2.2"]);
  });

  it("waits on the lower rungs, also between two pieces", async () => {
    backfill.follow("L2");
    backfill.heard(missing(1));
    await clock.pass(5_000);
    expect(uploads).toEqual([]);
    hangs = true;
    backfill.follow("L1");
    await settled();
    backfill.follow("L3");
    hangs = false;
    answers.pop()?.();
    await clock.pass(5_000);
    expect(uploads).toEqual(["1.1"]);
    backfill.follow("L0");
    await clock.pass(0);
    expect(uploads).toEqual(["1.1", "1.1", "1.2"]);
  });

  it("leaves a range that is not asked for any more", async () => {
    hangs = true;
    backfill.heard(missing(1, 2));
    await settled();
    backfill.heard(missing(2));
    hangs = false;
    answers.pop()?.();
    await clock.pass(1_000);
    expect(uploads).toEqual(["1.1", "2.1", "2.2"]);
  });
});

describe("failures", () => {
  it("tries again with growing pauses", async () => {
    const offlines = Array.from({ length: 4 }, () => new RequestError(offline()));
    faults = [...offlines];
    backfill.heard(missing(1));
    await clock.pass(4_000);
    // At once, after 0.3, 1.2 and 2.7 s.
    expect(uploads).toHaveLength(4);
    await clock.pass(300);
    expect(uploads.slice(-2)).toEqual(["1.1", "1.2"]);
    expect(backfill.uploaded).toBe(1);
  });

  it("waits as long as the server asks", async () => {
    faults = [refusal(429, "20")];
    backfill.heard(missing(1));
    await clock.pass(19_900);
    expect(uploads).toEqual(["1.1"]);
    await clock.pass(200);
    expect(uploads).toEqual(["1.1", "1.1", "1.2"]);
  });

  it("goes on at once with a fresh token, and when the network is back", async () => {
    faults = Array.from({ length: 5 }, () => refusal(401));
    backfill.heard(missing(1));
    await clock.pass(4_000);
    expect(uploads).toHaveLength(4);
    backfill.heard(TOKEN as ServerEvent);
    await settled();
    expect(uploads).toHaveLength(5);
    backfill.linkIs(false, true);
    backfill.linkIs(true, true);
    await settled();
    expect(uploads.slice(5)).toEqual(["1.1", "1.2"]);
  });

  it("gives up what will be refused again, and nothing else", async () => {
    faults = [refusal(413)];
    backfill.heard(missing(1, 2));
    await clock.pass(1_000);
    expect(uploads).toEqual(["1.1", "2.1", "2.2"]);
    backfill.heard(missing(1));
    await clock.pass(10_000);
    expect(uploads).toHaveLength(3);
    expect(backfill.isOpen).toBe(false);
  });
});

describe("the end of a visit", () => {
  async function ends(): Promise<{ is: boolean }> {
    const over = { is: false };
    void backfill.finish().then(() => {
      over.is = true;
    });
    await settled();
    return over;
  }

  it("does not wait when nothing is missing", async () => {
    expect(backfill.isOpen).toBe(false);
    expect((await ends()).is).toBe(true);
  });

  it("waits until the words are out, whatever the rung", async () => {
    backfill.follow("L3");
    backfill.heard(missing(1));
    const over = await ends();
    await clock.pass(3_000);
    expect(uploads).toEqual(["1.1", "1.2"]);
    expect(over.is).toBe(false);
    backfill.heard(missing());
    await clock.pass(100);
    expect(over.is).toBe(true);
  });

  it("waits for a list that may come after a gap, but not after a pause", async () => {
    backfill.heard({ ...GAP, reason: "paused" } as ServerEvent);
    expect(backfill.isOpen).toBe(false);
    backfill.heard(GAP as ServerEvent);
    const over = await ends();
    await clock.pass(2_400);
    expect(over.is).toBe(false);
    await clock.pass(200);
    expect(over.is).toBe(true);
  });

  it("does not wait for ever", async () => {
    backfill.heard(missing(1));
    const over = await ends();
    await clock.pass(END_WAIT_MS - 200);
    expect(over.is).toBe(false);
    await clock.pass(400);
    expect(over.is).toBe(true);
  });

  it("waits for a network that is away: what was said meanwhile is asked for after it", async () => {
    backfill.linkIs(false, false);
    const over = await ends();
    await clock.pass(AWAY_WAIT_MS / 2);
    expect(over.is).toBe(false);
    backfill.linkIs(true, true);
    await clock.pass(2_000);
    expect(over.is).toBe(false);
    backfill.heard(missing(1));
    await clock.pass(500);
    expect(uploads).toEqual(["1.1", "1.2"]);
    backfill.heard(missing());
    await clock.pass(3_000);
    expect(over.is).toBe(true);
  });

  it("does not wait for ever for a network either", async () => {
    backfill.linkIs(false, false);
    const over = await ends();
    await clock.pass(AWAY_WAIT_MS + 200);
    expect(over.is).toBe(true);
  });

  it("waits for the list of what was held back", async () => {
    backfill.follow("L5");
    expect(backfill.isOpen).toBe(false);
    const over = await ends();
    await clock.pass(2_400);
    expect(over.is).toBe(false);
    backfill.heard(missing(1));
    await clock.pass(3_000);
    expect(uploads).toEqual(["1.1", "1.2"]);
    expect(over.is).toBe(false);
    backfill.heard(missing());
    await clock.pass(100);
    expect(over.is).toBe(true);
  });

  it("ends with the visit", async () => {
    backfill.heard(missing(1, 2));
    const over = await ends();
    backfill.stop();
    await clock.pass(5_000);
    expect(over.is).toBe(true);
    expect(uploads).toEqual(["1.1", "1.2"]);
  });
});

it("has nothing to wait for before the first sound", () => {
  const fresh = new Backfill(
    { clock, random: () => 0.5, cut: async () => [], upload: async () => undefined },
    "L1",
  );
  fresh.linkIs(true, false);
  expect(fresh.isOpen).toBe(false);
});
