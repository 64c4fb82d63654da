import { beforeEach, describe, expect, it } from "vitest";
import { Recovery, type RestartOutcome, SilenceWatch } from "../../src/session/recovery";
import { VirtualClock } from "./virtual_clock";

describe("the silence watch", () => {
  const watch = () => new SilenceWatch();

  it("calls 2.5 s of packets without a report silence", () => {
    const silence = watch();
    expect(silence.observe(0, { sent: 10, report: 1 })).toBe("alive");
    expect(silence.observe(500, { sent: 20, report: 1 })).toBe("unsure");
    expect(silence.observe(2_999, { sent: 70, report: 1 })).toBe("unsure");
    expect(silence.observe(3_000, { sent: 70, report: 1 })).toBe("silent");
    expect(silence.observe(3_100, { sent: 80, report: 2 })).toBe("alive");
    expect(silence.observe(3_200, { sent: 81, report: 2 })).toBe("unsure");
  });

  it("waits longer for the first report", () => {
    const silence = watch();
    expect(silence.observe(0, { sent: 1, report: null })).toBe("unsure");
    expect(silence.observe(4_999, { sent: 250, report: null })).toBe("unsure");
    expect(silence.observe(5_000, { sent: 250, report: null })).toBe("silent");
  });

  it("expects nothing while nothing is sent", () => {
    const silence = watch();
    silence.observe(0, { sent: 10, report: 1 });
    expect(silence.observe(60_000, { sent: 10, report: 1 })).toBe("unsure");
  });
});

describe("recovery", () => {
  let clock: VirtualClock;
  let asked: number[];
  let told: string[];
  let outcome: RestartOutcome | Promise<RestartOutcome>;
  let recovery: Recovery;

  beforeEach(() => {
    clock = new VirtualClock();
    asked = [];
    told = [];
    outcome = "answered";
    recovery = new Recovery({
      clock,
      random: () => 0.5,
      restartIce: async () => {
        asked.push(clock.now());
        return outcome;
      },
      replace: () => told.push(`replace ${clock.now()}`),
      onLost: () => told.push("lost"),
      onRecovered: () => told.push("recovered"),
    });
  });

  it("restarts ICE at once and is done with the first sign of life", async () => {
    recovery.lost();
    recovery.lost();
    recovery.alive();
    await clock.pass(100);
    recovery.alive();
    recovery.alive();
    await clock.pass(60_000);
    expect(asked).toEqual([0]);
    expect(told).toEqual(["lost", "recovered"]);
    expect(recovery.isActive).toBe(false);
  });

  it("makes a fresh connection when nothing follows for 5 s", async () => {
    recovery.lost();
    await clock.pass(60_000);
    expect(told).toEqual(["lost", "replace 5000"]);
  });

  it("makes a fresh connection when the restart is refused", async () => {
    outcome = "refused";
    recovery.lost();
    await clock.pass(60_000);
    expect(asked).toEqual([0]);
    expect(told).toEqual(["lost", "replace 0"]);
  });

  it("asks again with growing pauses while nobody answers, and at once in another network", async () => {
    outcome = "unreachable";
    recovery.lost();
    await clock.pass(16_000);
    expect(asked).toEqual([0, 300, 1_500, 4_200, 9_000, 16_000]);
    outcome = "answered";
    recovery.networkChanged();
    await clock.pass(0);
    expect(asked.at(-1)).toBe(16_000);
    recovery.alive();
    expect(told).toEqual(["lost", "recovered"]);
  });

  it("restarts a working connection in another network", async () => {
    recovery.networkChanged();
    await clock.pass(0);
    expect(asked).toEqual([0]);
  });

  it("does not listen to an answer that came too late", async () => {
    let answer: (value: RestartOutcome) => void = () => undefined;
    outcome = new Promise((resolve) => {
      answer = resolve;
    });
    recovery.lost();
    await clock.pass(0);
    recovery.stop();
    answer("refused");
    await clock.pass(60_000);
    expect(told).toEqual(["lost"]);
  });
});
