import { expect, it } from "vitest";
import { Backoff, STEPS_MS } from "../../src/session/backoff";

it("goes through its steps and stays at the last", () => {
  const backoff = new Backoff(() => 0.5);
  expect(STEPS_MS.map(() => backoff.next())).toEqual([0, 300, 1200, 2700, 4800, 7000]);
  expect(backoff.next()).toBe(7000);
  expect(backoff.attempts).toBe(7);
  backoff.reset();
  expect(backoff.next()).toBe(0);
});

it("spreads by a quarter to either side", () => {
  for (const [random, wait] of [
    [0, 225],
    [1, 375],
  ] as const) {
    const backoff = new Backoff(() => random);
    backoff.next();
    expect(backoff.next()).toBe(wait);
  }
});
