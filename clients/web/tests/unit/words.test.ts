import { describe, expect, it } from "vitest";
import { levelOf } from "../../src/session/source";
import { tokenInFragment } from "../../src/session/user_token";
import { openedVisit, type Visit } from "../../src/state/view";
import { text } from "../../src/ui/text";
import {
  clockTime,
  dataSize,
  networkKey,
  readable,
  sourceKey,
  stateKey,
  transcriptLines,
} from "../../src/ui/words";
import { FINAL, GAP } from "./samples";

const visit = (change: Partial<Visit>): Visit => ({
  ...openedVisit({
    recogniser: { engine: "whisper", model: "small" },
    consentText: "",
    hasRelay: false,
    hasSocket: true,
    listening: true,
    startedAt: 0,
    restored: false,
    source: { kind: "microphone", name: "" },
    ticked: [],
    dataUsed: 0,
  }),
  sourceState: "on",
  link: "open",
  audio: "connected",
  media: "live",
  ...change,
});

describe("the state", () => {
  it.each<[string, Partial<Visit>]>([
    ["live", {}],
    ["connecting", { media: "created" }],
    ["suspended", { media: "suspended" }],
    ["connecting", { audio: "connecting" }],
    ["connecting", { link: "connecting" }],
    ["connecting", { audio: "off" }],
    ["reconnecting", { audio: "lost" }],
    ["reconnecting", { audio: "blocked" }],
    ["reconnecting", { link: "lost", paused: true }],
    ["waiting", { sourceState: "off" }],
    ["waiting", { sourceState: "lost" }],
    ["paused", { paused: true }],
    ["checklist", { listening: false, audio: "off" }],
    ["ending", { ending: true, link: "lost" }],
    ["stopped", { halted: "replaced", ending: true }],
  ])("is %s for %o", (key, change) => {
    expect(stateKey(visit(change))).toBe(key);
    expect(text.state).toHaveProperty(key);
  });
});

describe("the source", () => {
  const file = { kind: "file", name: "a.wav" } as const;
  it.each<[string, Partial<Visit>]>([
    ["on", {}],
    ["paused", { paused: true }],
    ["file", { source: file }],
    ["filePaused", { source: file, paused: true }],
    ["finished", { source: file, sourceState: "finished" }],
    ["muted", { sourceState: "muted" }],
    ["none", { listening: false }],
    ["off", { ending: true }],
  ])("is %s for %o", (key, change) => {
    expect(sourceKey(visit(change))).toBe(key);
    expect(text.source).toHaveProperty(key);
  });
});

it("names the embedded model for what it is", () => {
  expect(text.recogniser({ engine: "whisper", model: "outlet-en" })).toBe(
    "Trial recogniser: a small model trained on synthetic speech, about 340 words of an outlet visit. Real speech needs a real Whisper model (ASR_MODEL=small).",
  );
  expect(text.recogniserName({ engine: "whisper", model: "small" })).toContain("small");
  expect(text.recogniser({ engine: "sphinx", model: "en-us" })).toContain("sphinx");
});

it("writes times and ids as people read them", () => {
  expect([0, 59.9, 61, 3600, 3725, -4].map(clockTime)).toEqual([
    "0:00",
    "0:59",
    "1:01",
    "1:00:00",
    "1:02:05",
    "0:00",
  ]);
  expect(["no_space", "damaged-expired", ""].map(readable)).toEqual(["No space", "Damaged expired", ""]);
  expect([1, 2].map(text.summary.objectionCount)).toEqual(["1 objection", "2 objections"]);
  expect([1, 2].map(text.summary.orderCount)).toEqual(["1 order line", "2 order lines"]);
  expect(text.summary.lasted(0, 12)).toBe("12 s");
  expect(text.summary.lasted(2, 5)).toBe("2 min 5 s");
  expect(text.visit.lostSound(0.94)).toBe("0.9 s of sound lost");
  expect(text.visit.lostSound(25.4)).toBe("25 s of sound lost");
});

it("puts the holes where they were, and leaves out those that nobody hears", () => {
  const finals = [{ ...FINAL, type: "final" as const, speaker: "rep" as const }];
  const gaps = [
    { ...GAP, type: "gap" as const, start: 1 },
    { ...GAP, type: "gap" as const, id: "e9", start: 9, duration: 0.29 },
  ];
  expect(transcriptLines(finals, gaps).map((line) => line.kind)).toEqual(["gap", "final"]);
});

it("does not call sound lost whose words came later", () => {
  const late = { ...FINAL, type: "final" as const, speaker: "rep" as const, start: 5.2, end: 5.8 };
  const gaps = [{ ...GAP, type: "gap" as const }];
  const kinds = (final: typeof late) => transcriptLines([final], gaps).map((line) => line.kind);
  expect(kinds({ ...late, backfill: true })).toEqual(["final"]);
  expect(kinds(late)).toEqual(["gap", "final"]);
  expect(kinds({ ...late, backfill: true, start: 1, end: 2 })).toEqual(["final", "gap"]);
});

it("makes one line of holes with hardly anything between them", () => {
  const gap = (id: string, start: number, duration: number) => ({
    ...GAP,
    type: "gap" as const,
    id,
    start,
    duration,
  });
  const final = { ...FINAL, type: "final" as const, speaker: "rep" as const };
  const gaps = [gap("a", 100, 2), gap("b", 102.1, 2), gap("c", 104.5, 1.5), gap("d", 106.5, 1)];
  const lines = transcriptLines([], gaps).map(
    (line) => line.kind === "gap" && [line.gap.id, line.gap.duration],
  );
  expect(lines).toEqual([
    ["a", 5.5],
    ["d", 1],
  ]);
  const between = transcriptLines([{ ...final, start: 102 }], gaps.slice(0, 2));
  expect(between.map((line) => line.kind)).toEqual(["gap", "final", "gap"]);
});

it("measures loudness in decibels", () => {
  expect(levelOf(new Float32Array(4))).toBe(0);
  expect(levelOf(new Float32Array([1, -1, 1, -1]))).toBe(1);
  expect(levelOf(new Float32Array([0.01, -0.01]))).toBeCloseTo(1 / 3);
  expect(levelOf(new Float32Array())).toBe(0);
});

it("finds a token in the address", () => {
  expect(tokenInFragment("#token=ey.J0.x_-")).toBe("ey.J0.x_-");
  expect(tokenInFragment("#a=1&token=%20t%20")).toBe("t");
  expect([tokenInFragment(""), tokenInFragment("#token="), tokenInFragment("#top")]).toEqual([
    null,
    null,
    null,
  ]);
});

describe("the network", () => {
  it.each<[string | null, Partial<Visit>]>([
    ["good", {}],
    ["good", { rung: "L1", rttMs: 200, lost: 0.02 }],
    ["fair", { rung: "L2" }],
    ["fair", { rung: "L1", rttMs: 600 }],
    ["fair", { rung: "L0", lost: 0.08 }],
    ["poor", { rung: "L3" }],
    ["poor", { rung: "L4" }],
    ["poor", { rung: "L1", rttMs: 1_000 }],
    ["poor", { rung: "L1", lost: 0.2 }],
    ["offline", { rung: "L5" }],
    ["offline", { media: "suspended" }],
    ["offline", { audio: "lost" }],
    ["offline", { audio: "blocked" }],
    ["offline", { link: "lost" }],
    [null, { audio: "connecting" }],
    [null, { listening: false }],
    [null, { ending: true }],
    [null, { halted: "token" }],
  ])("is %s", (key, change) => {
    expect(networkKey(visit(change))).toBe(key);
  });

  it("has its cost in kB and MB", () => {
    expect([0, 400, 12_345, 999_499, 999_500, 3_456_789].map(dataSize)).toEqual([
      "0 kB",
      "0 kB",
      "12 kB",
      "999 kB",
      "1.0 MB",
      "3.5 MB",
    ]);
  });
});
