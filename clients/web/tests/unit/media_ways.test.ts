import { beforeEach, expect, it } from "vitest";
import { MediaLink, type MediaLinkState, type Publisher } from "../../src/session/media";
import { offline, problemOf, RequestError } from "../../src/session/problem";
import type { Way } from "../../src/session/transport_choice";
import { PROFILE } from "./samples";
import { VirtualClock } from "./virtual_clock";

interface Made extends Publisher {
  isReachable: boolean;
  way: Way;
  at: number;
  rungs: string[];
  closed: boolean;
  become: (state: RTCPeerConnectionState) => void;
}

let clock: VirtualClock;
let made: Made[];
let states: MediaLinkState[];
let faults: Partial<Record<Way, Error>>;
let link: MediaLink;

const ways = () => made.map(({ way }) => way);
const last = () => made.at(-1) as Made;

beforeEach(() => {
  clock = new VirtualClock();
  made = [];
  states = [];
  faults = {};
  link = new MediaLink(
    {
      ways: ["whip", "websocket"],
      createPublisher: ({ onConnection }, way) => {
        const publisher: Made = {
          way,
          at: clock.now(),
          rungs: [],
          closed: false,
          become: onConnection,
          isReachable: false,
          publish: async () => {
            if (faults[way]) throw faults[way];
          },
          follow: async ({ rung }) => publisher.rungs.push(rung) > 0,
          restartIce: async () => (way === "whip" ? "answered" : "refused"),
          pulse: async () => ({ sent: 0, report: null }),
          stats: async () => ({}),
          close: () => {
            publisher.closed = true;
          },
          release: async () => undefined,
        };
        made.push(publisher);
        return publisher;
      },
      clock,
      random: () => 0.5,
      onState: (state) => states.push(state),
      onRefused: () => undefined,
    },
    PROFILE,
  );
});

async function bySocket(): Promise<void> {
  link.start({} as MediaStreamTrack);
  await clock.pass(5_000);
  last().become("connected");
}

it("opens the socket after five seconds without a connection", async () => {
  await bySocket();
  expect(made.map(({ way, at }) => [way, at])).toEqual([
    ["whip", 0],
    ["websocket", 5_000],
  ]);
  expect(made[0]?.closed).toBe(true);
  expect(states).toEqual(["connecting", "connected"]);
});

it("gives a slow link that has answered the time it needs", async () => {
  link.start({} as MediaStreamTrack);
  await clock.pass(0);
  last().isReachable = true;
  await clock.pass(8_000);
  expect(ways()).toEqual(["whip"]);
  last().become("connected");
  expect(states).toEqual(["connecting", "connected"]);
});

it("opens the socket at once when the peer connection can't be made", async () => {
  faults.whip = new RequestError(offline());
  link.start({} as MediaStreamTrack);
  await clock.pass(0);
  expect(ways()).toEqual(["whip", "websocket"]);
  expect(states).toEqual(["connecting"]);
});

it("says within ten seconds that nothing works, and goes on trying", async () => {
  link.start({} as MediaStreamTrack);
  await clock.pass(9_999);
  expect(states).toEqual(["connecting", "blocked"]);
  await clock.pass(30_000);
  expect(ways().slice(0, 4)).toEqual(["whip", "websocket", "whip", "websocket"]);
  last().become("connected");
  expect(states.at(-1)).toBe("connected");
});

it("says it also when nobody answers, and goes on saying it", async () => {
  faults = { whip: new RequestError(offline()), websocket: new RequestError(offline()) };
  link.start({} as MediaStreamTrack);
  await clock.pass(9_999);
  expect(states).toEqual(["connecting", "lost", "blocked"]);
  await clock.pass(30_000);
  expect(states.at(-1)).toBe("blocked");
});

it("does not blame the network when the server is full", async () => {
  faults = { whip: new RequestError(problemOf(503, {}, "5")) };
  link.start({} as MediaStreamTrack);
  await clock.pass(4_000);
  // the socket would only be refused as well
  expect(ways()).toEqual(["whip"]);
  await clock.pass(5_999);
  expect(states).not.toContain("blocked");
});

it("tries the peer connection each minute beside the socket, and goes over when it works", async () => {
  await bySocket();
  const socket = last();
  await clock.pass(60_000);
  expect(last().way).toBe("whip");
  await clock.pass(10_000);
  expect([last().closed, socket.closed]).toEqual([true, false]);
  await clock.pass(60_000);
  const back = last();
  back.become("connected");
  expect([back.closed, socket.closed]).toEqual([false, true]);
  expect(back.rungs).toEqual([PROFILE.rung]);
  expect(states).toEqual(["connecting", "connected"]);
  await clock.pass(600_000);
  expect(made).toHaveLength(4);
  // and it is watched like any other
  back.become("failed");
  await clock.pass(0);
  expect([last().way, states.at(-1)]).toEqual(["whip", "lost"]);
});

it("does not leave a trial behind", async () => {
  await bySocket();
  await clock.pass(60_000);
  const trial = last();
  link.stop();
  expect(trial.closed).toBe(true);
  trial.become("connected");
  await clock.pass(600_000);
  expect(made).toHaveLength(3);
});

it("goes on trying after a trial that was refused or failed", async () => {
  await bySocket();
  faults.whip = new RequestError(offline());
  await clock.pass(60_000);
  faults = {};
  await clock.pass(60_000);
  last().become("failed");
  await clock.pass(60_000);
  expect(ways().slice(2)).toEqual(["whip", "whip", "whip"]);
  expect(states.at(-1)).toBe("connected");
});

it("opens a new socket when it is lost, or when the server hears nothing of it", async () => {
  await bySocket();
  last().become("failed");
  await clock.pass(0);
  expect(ways()).toEqual(["whip", "websocket", "websocket"]);
  last().become("connected");
  link.unheard();
  await clock.pass(0);
  expect(ways()).toHaveLength(4);
  expect(last().way).toBe("websocket");
});

it("leaves a peer connection alone that the server does not hear", async () => {
  link.start({} as MediaStreamTrack);
  await clock.pass(0);
  last().become("connected");
  link.unheard();
  await clock.pass(1_000);
  expect(states.at(-1)).toBe("connected");
});
