import { expect, it } from "vitest";
import { Valve } from "../../src/session/valve";

it("lets everything through, or a sign of life every two seconds", () => {
  const valve = new Valve();
  const passed = (from: number, to: number): number[] => {
    const found: number[] = [];
    for (let now = from; now < to; now += 120) if (valve.passes(now)) found.push(now);
    return found;
  };
  expect(passed(0, 1_200)).toHaveLength(10);
  valve.isHolding = true;
  const held = passed(1_200, 11_200);
  expect(held.length).toBe(4);
  for (const [n, now] of held.slice(1).entries()) expect(now - (held[n] ?? 0)).toBeGreaterThanOrEqual(2_000);
  valve.isHolding = false;
  expect(passed(11_200, 12_400)).toHaveLength(10);
});
