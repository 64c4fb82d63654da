import { describe, expect, it } from "vitest";
import { offline } from "../../src/session/problem";
import { parseEvent, parseSummary } from "../../src/session/protocol_reader";
import { reduce, shownCue } from "../../src/state/reduce";
import { Store } from "../../src/state/store";
import { type Action, openedVisit, START, type ViewState, type Visit } from "../../src/state/view";
import { CHECKLIST, CUE, ERROR, FINAL, GAP, METRICS, PARTIAL, PROFILE, STATE, SUMMARY } from "./samples";

const opened: ViewState = reduce(START, {
  type: "visit-opened",
  visit: openedVisit({
    recogniser: { engine: "whisper", model: "outlet-en" },
    consentText: "",
    hasRelay: false,
    hasSocket: true,
    listening: true,
    startedAt: 0,
    restored: false,
    source: null,
    ticked: [],
    dataUsed: 0,
  }),
});

const server = (event: object, now = 0): Action => {
  const parsed = parseEvent(JSON.stringify(event)).event;
  if (!parsed) throw new Error("unknown event");
  return { type: "server", event: parsed, now };
};

function visitAfter(...actions: Action[]): Visit {
  const { visit } = actions.reduce(reduce, opened);
  if (!visit) throw new Error("no visit");
  return visit;
}

describe("the start screen", () => {
  it("shows what is waited for, and what stands in the way", () => {
    const busy = reduce(START, { type: "busy", with: "session" });
    expect(busy.busy).toBe("session");
    const failed = reduce(busy, { type: "trouble", trouble: { kind: "request", problem: offline() } });
    expect(failed).toMatchObject({ busy: null, trouble: { kind: "request" } });
    expect(reduce(busy, { type: "token-needed", needed: true })).toMatchObject({
      needsToken: true,
      busy: null,
    });
    expect(reduce(failed, { type: "visit-opened", visit: opened.visit as Visit })).toMatchObject({
      screen: "visit",
      trouble: null,
    });
  });

  it("is untouched by what a visit would say", () => {
    expect(reduce(START, { type: "link", state: "open" })).toBe(START);
    expect(reduce(START, server(SUMMARY))).toBe(START);
    expect(reduce(opened, { type: "closed" })).toBe(START);
  });
});

describe("the transcript", () => {
  it("replaces the partial by its final", () => {
    expect(visitAfter(server(PARTIAL)).partial?.committed).toBe("there is");
    const visit = visitAfter(server(PARTIAL), server(FINAL));
    expect(visit.partial).toBeNull();
    expect(visit.finals.map((final) => final.text)).toEqual(["there is no space on my shelf"]);
  });

  it("keeps the next utterance's partial when a final comes late", () => {
    const next = { ...PARTIAL, utterance: 2, start: 4.5, end: 5 };
    expect(visitAfter(server(next), server(FINAL)).partial?.utterance).toBe(2);
  });

  it("passes over a partial of what is already final", () => {
    expect(visitAfter(server(FINAL), server({ ...PARTIAL, end: 4.2 })).partial).toBeNull();
    expect(visitAfter(server(FINAL), server({ ...PARTIAL, utterance: 9, end: 4 })).partial).toBeNull();
  });

  it("takes utterances that another worker counts anew", () => {
    const later = { ...FINAL, id: "e30", utterance: 0, start: 9, end: 10 };
    expect(visitAfter(server(FINAL), server(later)).finals).toHaveLength(2);
    expect(
      visitAfter(server(FINAL), server({ ...PARTIAL, utterance: 0, start: 5, end: 6 })).partial?.utterance,
    ).toBe(0);
  });

  it("shows an event once, and each in its place", () => {
    const early = { ...FINAL, id: "e0", utterance: 0, start: 0, end: 1, text: "good morning" };
    const visit = visitAfter(server(FINAL), server(early), server(FINAL));
    expect(visit.finals.map((final) => final.id)).toEqual(["e0", "e3"]);
  });

  it("holds the gaps", () => {
    expect(visitAfter(server(GAP)).gaps).toHaveLength(1);
  });

  it("hears nothing while paused or ending", () => {
    expect(visitAfter(server(PARTIAL), { type: "paused", paused: true }).partial).toBeNull();
    expect(visitAfter({ type: "paused", paused: true }, server(PARTIAL)).partial).toBeNull();
    expect(visitAfter(server(PARTIAL), { type: "ending" }, server(PARTIAL)).partial).toBeNull();
  });
});

describe("a cue", () => {
  it("is shown for its time to live, by this page's clock", () => {
    expect(visitAfter(server(CUE, 50)).cue).toMatchObject({ shownAt: 50, expiresAt: 8050 });
  });

  it("has less time when it was replayed late, and none when it is over", () => {
    const late = { ...CUE, sent_at: 105_000 };
    expect(visitAfter(server(late)).cue?.expiresAt).toBe(3000);
    expect(visitAfter(server({ ...CUE, sent_at: 108_000 })).cue).toBeNull();
    const event = parseEvent(JSON.stringify({ ...CUE, ttl_ms: 500 })).event;
    expect(event?.type === "cue" && shownCue(event, 0)?.expiresAt).toBe(500);
  });

  it("that is over does not take the place of one that is not", () => {
    const over = { ...CUE, cue_id: "c2", sent_at: 200_000 };
    expect(visitAfter(server(CUE), server(over)).cue?.event.cue_id).toBe("c1");
  });

  it("leaves when it is closed, and only then", () => {
    expect(visitAfter(server(CUE), { type: "cue-closed", cueId: "c9" }).cue).not.toBeNull();
    expect(visitAfter(server(CUE), { type: "cue-closed", cueId: "c1" }).cue).toBeNull();
  });

  it("is not shown once the visit ends", () => {
    expect(visitAfter({ type: "ending" }, server(CUE)).cue).toBeNull();
  });
});

describe("the state of things", () => {
  it("follows the server, the link, the sound and the source", () => {
    const visit = visitAfter(
      server({ ...STATE, degraded: "asr-away" }),
      server(CHECKLIST),
      server(METRICS),
      server(ERROR),
      { type: "link", state: "open" },
      { type: "audio", state: "connected" },
      { type: "source", source: { kind: "file", name: "a.wav" }, state: "on" },
      { type: "source-state", state: "finished" },
      { type: "rejected" },
      { type: "halted", why: "replaced" },
    );
    expect(visit).toMatchObject({
      media: "live",
      degraded: "asr-away",
      link: "open",
      audio: "connected",
      source: { name: "a.wav" },
      sourceState: "finished",
      rejected: 1,
      halted: "replaced",
    });
    expect(visit.stages.map((stage) => stage.done)).toEqual([true, false]);
  });

  it("believes the user's pause before the server confirms it", () => {
    const pause: Action = { type: "paused", paused: true };
    expect(visitAfter(server(STATE), pause, server(STATE)).paused).toBe(true);
    const confirmed = server({ ...STATE, state: "paused" });
    expect(visitAfter(server(STATE), confirmed).paused).toBe(true);
    expect(visitAfter(server(STATE), pause, confirmed, server(STATE)).paused).toBe(false);
  });

  it("ticks by hand, both ways, each once", () => {
    const tick = (done: boolean): Action => ({ type: "ticked", stage: "greet", done });
    expect(visitAfter(tick(true), tick(true)).ticked).toEqual(["greet"]);
    expect(visitAfter(tick(true), tick(false)).ticked).toEqual([]);
  });
});

it("knows whether lost sound can be sent later, and when the end waits for it", () => {
  expect(visitAfter().remembers).toBeNull();
  expect(visitAfter({ type: "remembers", works: false }).remembers).toBe(false);
  expect(visitAfter({ type: "filling", on: true }).filling).toBe(true);
  expect(visitAfter({ type: "filling", on: true }, { type: "filling", on: false }).filling).toBe(false);
});

describe("the summary", () => {
  it("comes as an event or by request", () => {
    const byEvent = reduce(reduce(opened, server(CUE)), server(SUMMARY));
    expect(byEvent).toMatchObject({ screen: "summary", visit: { cue: null, summary: { score: 50 } } });
    const asked = reduce(opened, { type: "summary", summary: parseSummary(SUMMARY) });
    expect(asked.screen).toBe("summary");
  });
});

it("the store tells its listeners of changes only", () => {
  const store = new Store();
  let calls = 0;
  const stop = store.subscribe(() => {
    calls += 1;
  });
  store.dispatch({ type: "link", state: "open" });
  expect(calls).toBe(0);
  store.dispatch({ type: "busy", with: "file" });
  stop();
  store.dispatch({ type: "busy", with: null });
  expect(calls).toBe(1);
  expect(store.get().busy).toBeNull();
});

it("keeps what is known of the sound's link", () => {
  expect(
    visitAfter(server(PROFILE), { type: "sound", rttMs: 300, lost: 0.1, dataUsed: 5_000, path: "relay" }),
  ).toMatchObject({ rung: "L1", rttMs: 300, lost: 0.1, dataUsed: 5_000, path: "relay" });
});
