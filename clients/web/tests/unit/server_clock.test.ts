import { expect, it } from "vitest";
import { ServerClock } from "../../src/session/server_clock";

it("is this device's clock until the server has answered", () => {
  expect(new ServerClock(1_000_000).at(500)).toBe(1_000_500);
});

it("believes the fastest answer", () => {
  const clock = new ServerClock(0);
  clock.add(100, 300, 5_000_200);
  expect(clock.at(1000)).toBe(5_001_000);
  clock.add(1000, 1900, 5_001_800);
  expect(clock.at(2000)).toBe(5_002_000);
  clock.add(3000, 3020, 5_003_110);
  expect(clock.at(4000)).toBe(5_004_100);
  clock.add(5000, 4000, 9);
  expect(clock.at(4000)).toBe(5_004_100);
});
