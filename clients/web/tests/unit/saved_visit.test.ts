import { expect, it } from "vitest";
import { readSavedVisit, type SavedVisit } from "../../src/session/saved_visit";
import { SESSION } from "./samples";

const SAVED: SavedVisit = {
  session: SESSION,
  startedAt: 1_000,
  listening: true,
  source: "microphone",
  paused: true,
  acknowledged: ["c1 shown"],
  ticked: ["greet"],
  dataUsed: 42_000,
};

it("comes back as it was", () => {
  expect(readSavedVisit(JSON.stringify(SAVED))).toEqual(SAVED);
});

it("does without what is missing or odd", () => {
  expect(
    readSavedVisit(JSON.stringify({ session: SESSION, startedAt: 1, source: "radio", ticked: [1, "a"] })),
  ).toEqual({
    session: SESSION,
    startedAt: 1,
    listening: false,
    source: null,
    paused: false,
    acknowledged: [],
    ticked: ["a"],
    dataUsed: 0,
  });
});

it.each(["", "{}", "null", JSON.stringify({ startedAt: 1 })])("is refused when it is %s", (text) => {
  expect(() => readSavedVisit(text)).toThrow();
});
