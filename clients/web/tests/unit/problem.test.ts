import { describe, expect, it } from "vitest";
import { offline, problemOf, RequestError, unreadable } from "../../src/session/problem";
import { noticeOf, noticeOfProblem } from "../../src/ui/notice";

const PROBLEM = {
  type: "urn:fieldcoach:problem:no-capacity",
  title: "Every recogniser is busy",
  detail: "4 of 4 places are taken.",
  fix: "Try again.",
};

describe("problemOf", () => {
  it("reads problem details", () => {
    expect(problemOf(503, PROBLEM, "5")).toEqual({
      word: "no-capacity",
      status: 503,
      title: "Every recogniser is busy",
      detail: "4 of 4 places are taken.",
      fix: "Try again.",
      retryAfterS: 5,
    });
  });

  it.each([[null], ["<html>"], [{ type: 7, title: [] }]])("makes do with the status for %s", (body) => {
    expect(problemOf(502, body, null)).toMatchObject({ word: "http-502", title: "", retryAfterS: null });
  });

  it("passes over a Retry-After that is a date", () => {
    expect(problemOf(503, {}, "Wed, 21 Oct 2026 07:28:00 GMT").retryAfterS).toBeNull();
  });
});

it("knows what may succeed later", () => {
  const retryable = (status: number) => new RequestError(problemOf(status, {}, null)).retryable;
  expect([429, 500, 503].map(retryable)).toEqual([true, true, true]);
  expect([400, 401, 403, 404].map(retryable)).toEqual([false, false, false, false]);
  expect(new RequestError(offline()).retryable).toBe(true);
});

describe("what is shown", () => {
  it("prefers the server's words and adds the time to wait", () => {
    expect(noticeOfProblem(problemOf(503, PROBLEM, "5"))).toEqual({
      title: "Every recogniser is busy",
      detail: "4 of 4 places are taken.",
      fix: "Try again. Try again in 5 s.",
    });
  });

  it("has words of its own for each case", () => {
    expect(noticeOfProblem(offline()).fix).toContain("connection");
    expect(noticeOfProblem(unreadable("a field is missing"))).toMatchObject({
      detail: "a field is missing",
      fix: "Reload the page.",
    });
    expect(noticeOfProblem(problemOf(502, null, null)).detail).toContain("502");
    expect(noticeOfProblem(problemOf(503, { type: PROBLEM.type }, "2")).fix).toBe("Try again in 2 s.");
    expect(noticeOf({ kind: "microphone", fault: "refused" }).fix).toContain("audio file");
    expect(noticeOf({ kind: "file", fault: "unreadable" }).fix).toContain("WAV");
    expect(noticeOf({ kind: "fault" }).fix).toContain("Reload");
    expect(noticeOf({ kind: "request", problem: offline() }).title).toContain("server");
  });
});
