import { describe, expect, it } from "vitest";
import {
  ProtocolError,
  parseDevToken,
  parseEvent,
  parseSession,
  parseSummary,
} from "../../src/session/protocol_reader";
import { CHECKLIST, CUE, EVENTS, FINAL, SESSION, STATE, SUMMARY } from "./samples";

const fieldOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof ProtocolError) return error.field;
    throw error;
  }
  throw new Error("it was accepted");
};

describe("parseEvent", () => {
  it.each(EVENTS.map((event) => [event.type, event] as const))("reads a %s", (type, event) => {
    const parsed = parseEvent(JSON.stringify({ session: "a", ...event }));
    expect(parsed.event?.type).toBe(type);
    expect(parsed.id).toBe("id" in event ? event.id : null);
  });

  it("passes over a kind that a newer server may send, and keeps its id", () => {
    expect(parseEvent('{"type":"weather","id":"e9"}')).toEqual({ event: null, id: "e9" });
    expect(parseEvent('{"type":"constructor"}')).toEqual({ event: null, id: null });
  });

  it("lets a server add fields", () => {
    expect(parseEvent(JSON.stringify({ ...STATE, mood: "fine" })).event).not.toHaveProperty("mood");
  });

  it("takes absent optional texts as empty", () => {
    const { title: _title, ...untitled } = CUE;
    expect(parseEvent(JSON.stringify(untitled)).event).toMatchObject({ title: "" });
  });

  it.each([
    ["not JSON", "message"],
    ["[]", "message"],
    ["null", "message"],
    ["{}", "type"],
    [JSON.stringify({ ...STATE, state: "sleeping" }), "state"],
    [JSON.stringify({ ...STATE, degraded: 3 }), "degraded"],
    [JSON.stringify({ ...FINAL, text: 7 }), "text"],
    [JSON.stringify({ ...FINAL, low_confidence: "no" }), "low_confidence"],
    [JSON.stringify({ ...FINAL, start: "2" }), "start"],
    [JSON.stringify({ ...CHECKLIST, stages: {} }), "stages"],
    [JSON.stringify({ ...CHECKLIST, stages: [{ id: "greet" }] }), "stages[0].title"],
    [JSON.stringify({ ...SUMMARY, tips: [1] }), "tips[0]"],
    [JSON.stringify({ ...SUMMARY, orders: [{ sku: "a", unit: "b" }] }), "orders[0].qty"],
  ])("names the field of %s", (text, field) => {
    expect(fieldOf(() => parseEvent(text))).toBe(field);
  });
});

describe("answers", () => {
  it("reads a session", () => {
    expect(parseSession(SESSION)).toEqual(SESSION);
    expect(fieldOf(() => parseSession({ ...SESSION, asr: { engine: "whisper" } }))).toBe("asr.model");
    expect(fieldOf(() => parseSession({ ...SESSION, asr: null }))).toBe("asr");
  });

  it("reads a summary and a token", () => {
    expect(parseSummary(SUMMARY).orders).toEqual([{ sku: "noodles", qty: 2, unit: "cartons" }]);
    expect(parseDevToken({ token: "t", expires_in: 3600 })).toBe("t");
  });
});
