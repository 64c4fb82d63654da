import { expect, it } from "vitest";
import { TransportChoice } from "../../src/session/transport_choice";

const BOTH = ["whip", "websocket"] as const;

it("tries the peer connection first, and what worked last after that", () => {
  const choice = new TransportChoice(BOTH);
  expect([choice.next(), choice.isRoundOver]).toEqual(["whip", false]);
  expect([choice.next(), choice.isRoundOver]).toEqual(["websocket", true]);
  expect(choice.next()).toBe("whip");
  choice.cameUp("websocket");
  expect([choice.next(), choice.next(), choice.next()]).toEqual(["websocket", "whip", "websocket"]);
  choice.cameUp("whip");
  expect(choice.next()).toBe("whip");
});

it("has one way in a browser without an encoder", () => {
  const choice = new TransportChoice(["whip"]);
  expect([choice.next(), choice.next(), choice.isRoundOver]).toEqual(["whip", "whip", true]);
  const opening = { begunAt: 1_000, answeredAt: null, isReachable: false };
  expect(choice.givesUpAt("whip", opening)).toBe(Number.POSITIVE_INFINITY);
  expect(choice.givesUpAt("whip", { ...opening, answeredAt: 3_000 })).toBe(13_000);
});

it("waits five seconds for UDP, longer for a slow answer, and twice that when ICE is through", () => {
  const choice = new TransportChoice(BOTH);
  const opening = { begunAt: 1_000, answeredAt: null, isReachable: false };
  expect(choice.givesUpAt("whip", opening)).toBe(6_000);
  expect(choice.givesUpAt("whip", { ...opening, answeredAt: 1_500 })).toBe(6_000);
  expect(choice.givesUpAt("whip", { ...opening, answeredAt: 4_500 })).toBe(7_500);
  expect(choice.givesUpAt("whip", { ...opening, isReachable: true })).toBe(11_000);
  expect(choice.givesUpAt("websocket", opening)).toBe(11_000);
});
