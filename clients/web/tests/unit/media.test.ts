import { beforeEach, describe, expect, it } from "vitest";
import { MediaLink, type MediaLinkState, type Publisher } from "../../src/session/media";
import { offline, problemOf, RequestError } from "../../src/session/problem";
import type { Profile } from "../../src/session/protocol";
import type { Pulse, RestartOutcome } from "../../src/session/recovery";
import { PROFILE } from "./samples";
import { VirtualClock } from "./virtual_clock";

class FakePublisher implements Publisher {
  closed = false;
  isReachable = false;
  released = false;
  rungs: string[] = [];
  follows = true;

  goesOnEncoding = false;

  become(state: RTCPeerConnectionState): void {
    this.goesOnEncoding ||= state === "connected";
    this.onConnection(state);
  }

  constructor(
    readonly profile: Profile,
    private readonly onConnection: (state: RTCPeerConnectionState) => void,
    private readonly fault: Error | null,
  ) {}

  async publish(): Promise<void> {
    if (this.fault) throw this.fault;
  }

  async follow(profile: Profile): Promise<boolean> {
    this.rungs.push(profile.rung);
    return this.follows;
  }

  restarts = 0;
  outcome: RestartOutcome = "answered";
  beat: Pulse = { sent: 0, report: null };

  async restartIce(): Promise<RestartOutcome> {
    this.restarts += 1;
    return this.outcome;
  }

  async pulse(): Promise<Pulse> {
    return this.beat;
  }

  async stats() {
    return { rtt_ms: 80 };
  }

  close(): void {
    this.closed = true;
  }

  async release(): Promise<void> {
    this.released = true;
  }
}

const TRACK = {} as MediaStreamTrack;
let clock: VirtualClock;
let publishers: FakePublisher[];
let states: MediaLinkState[];
let refused: RequestError[];
let fault: Error | null;
let link: MediaLink;

const publisher = (): FakePublisher => publishers.at(-1) as FakePublisher;

beforeEach(() => {
  clock = new VirtualClock();
  publishers = [];
  states = [];
  refused = [];
  fault = null;
  link = new MediaLink(
    {
      createPublisher: ({ profile, onConnection }) => {
        const created = new FakePublisher(profile, onConnection, fault);
        publishers.push(created);
        return created;
      },
      clock,
      random: () => 0.5,
      onState: (state) => states.push(state),
      onRefused: (error) => refused.push(error),
    },
    PROFILE,
  );
});

async function connected(): Promise<void> {
  link.start(TRACK);
  await clock.pass(0);
  publisher().become("connected");
}

it("connects and stops", async () => {
  await connected();
  expect(states).toEqual(["connecting", "connected"]);
  expect(await link.stats()).toEqual({ rtt_ms: 80 });
  link.stop();
  expect(publisher().closed).toBe(true);
  expect(states.at(-1)).toBe("off");
  expect(await link.stats()).toBeNull();
  await clock.pass(60_000);
  expect(publishers).toHaveLength(1);
});

it("tells the gateway when the session goes on without sound, and only then", async () => {
  await connected();
  publisher().become("failed");
  await clock.pass(0);
  expect(publishers.map((each) => each.released)).toEqual([false, false]);
  link.release();
  expect(publishers.map((each) => each.released)).toEqual([false, true]);
  expect(publisher().closed).toBe(true);
  link.release();
});

it("follows a profile, and begins the next connection with it", async () => {
  const rung = (name: string) => ({ ...PROFILE, rung: name });
  expect(await link.follow(rung("L2"))).toBe(false);
  await connected();
  expect(publisher().profile.rung).toBe("L2");
  expect(await link.follow(rung("L3"))).toBe(true);
  expect(publisher().rungs).toEqual(["L3"]);
  publisher().follows = false;
  expect(await link.follow(rung("L4"))).toBe(false);
  publisher().become("failed");
  await clock.pass(0);
  expect(publisher().profile.rung).toBe("L4");
});

it("does not say of a connection that has gone that it follows", async () => {
  await connected();
  const followed = link.follow(PROFILE);
  link.stop();
  expect(await followed).toBe(false);
});

describe("a lost connection", () => {
  it("that failed is replaced at once", async () => {
    await connected();
    publisher().become("failed");
    await clock.pass(0);
    expect(publishers).toHaveLength(2);
    expect(states.at(-1)).toBe("lost");
    publisher().become("connected");
    expect(states.at(-1)).toBe("connected");
    expect(publishers.map((each) => each.closed)).toEqual([true, false]);
  });

  it("goes on encoding until the next one is there, and never two of them", async () => {
    await connected();
    publisher().become("failed");
    await clock.pass(0);
    publisher().become("failed");
    await clock.pass(1_000);
    expect(publishers.map((each) => each.closed)).toEqual([false, true, false]);
    publisher().become("connected");
    publisher().become("failed");
    await clock.pass(1_000);
    expect(publishers.map((each) => each.closed)).toEqual([true, true, false, false]);
    link.stop();
    expect(publishers.every((each) => each.closed)).toBe(true);
  });

  it("that is disconnected restarts ICE, and is replaced when nothing follows", async () => {
    await connected();
    publisher().become("disconnected");
    expect(states.at(-1)).toBe("lost");
    await clock.pass(1_000);
    publisher().become("connected");
    expect(states.at(-1)).toBe("connected");
    await clock.pass(60_000);
    expect(publishers.map((each) => each.restarts)).toEqual([1]);
    publisher().become("disconnected");
    await clock.pass(5_000);
    expect(publishers).toHaveLength(2);
    expect(publishers[0]?.restarts).toBe(2);
  });

  it("that is silent restarts ICE, and is back with the next report", async () => {
    await connected();
    publisher().beat = { sent: 10, report: 1 };
    await clock.pass(500);
    publisher().beat = { sent: 60, report: 1 };
    await clock.pass(3_000);
    expect(publisher().restarts).toBe(1);
    expect(states.at(-1)).toBe("lost");
    publisher().beat = { sent: 90, report: 2 };
    await clock.pass(500);
    expect(states.at(-1)).toBe("connected");
    expect(publishers).toHaveLength(1);
  });

  it("restarts ICE in another network, and does not wait when the network is back", async () => {
    await connected();
    link.wake();
    await clock.pass(0);
    expect(publisher().restarts).toBe(0);
    publisher().outcome = "unreachable";
    link.networkChanged();
    await clock.pass(300);
    expect(publisher().restarts).toBe(2);
    publisher().outcome = "answered";
    link.networkChanged();
    await clock.pass(0);
    expect(publisher().restarts).toBe(3);
    publisher().become("failed");
    link.wake();
    await clock.pass(0);
    expect(publishers).toHaveLength(2);
  });

  it("is not heard of again", async () => {
    await connected();
    const first = publisher();
    first.become("failed");
    await clock.pass(0);
    publisher().become("connected");
    first.become("failed");
    await clock.pass(60_000);
    expect(publishers).toHaveLength(2);
    expect(states.at(-1)).toBe("connected");
  });
});

describe("sound that never arrives", () => {
  it("is called blocked after ten seconds, and tried again", async () => {
    link.start(TRACK);
    await clock.pass(10_000);
    expect(states.at(-1)).toBe("blocked");
    await clock.pass(300);
    expect(publishers).toHaveLength(2);
  });

  it("is called blocked when the connection fails before its first contact", async () => {
    link.start(TRACK);
    await clock.pass(0);
    publisher().become("failed");
    expect(states.at(-1)).toBe("blocked");
  });

  it("is called lost once it had arrived", async () => {
    await connected();
    publisher().become("failed");
    await clock.pass(10_000);
    expect(states).not.toContain("blocked");
  });
});

describe("an offer that is not taken", () => {
  it("is made again after the pause that the server names", async () => {
    fault = new RequestError(problemOf(503, {}, "5"));
    link.start(TRACK);
    await clock.pass(4_999);
    expect(publishers).toHaveLength(1);
    fault = null;
    await clock.pass(1);
    expect(publishers).toHaveLength(2);
  });

  it("is made again with a growing pause when nobody answers", async () => {
    fault = new RequestError(offline());
    link.start(TRACK);
    await clock.pass(1500);
    expect(publishers).toHaveLength(3);
    expect(states.at(-1)).toBe("lost");
  });

  it("is made again after an answer that the browser refuses", async () => {
    fault = new Error("InvalidAccessError");
    link.start(TRACK);
    await clock.pass(300);
    expect(publishers).toHaveLength(2);
  });

  it("is not made again when it is refused for good", async () => {
    fault = new RequestError(problemOf(403, {}, null));
    link.start(TRACK);
    await clock.pass(60_000);
    expect(publishers).toHaveLength(1);
    expect(refused).toHaveLength(1);
  });

  it("is forgotten when the visit stops meanwhile", async () => {
    fault = new RequestError(problemOf(403, {}, null));
    link.start(TRACK);
    await clock.pass(0).then(() => undefined);
    link.stop();
    link.start(TRACK);
    link.stop();
    await clock.pass(60_000);
    expect(publishers).toHaveLength(1);
  });
});
