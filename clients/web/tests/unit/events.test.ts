import { beforeEach, describe, expect, it } from "vitest";
import { type EndOfStream, EventStream, type LinkState, type Socket } from "../../src/session/events";
import type { ServerEvent } from "../../src/session/protocol";
import { FINAL, PONG, STATE } from "./samples";
import { VirtualClock } from "./virtual_clock";

class FakeSocket implements Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  sent: { type: string }[] = [];
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {}

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  open(): void {
    this.onopen?.();
  }

  receive(event: unknown): void {
    this.onmessage?.({ data: typeof event === "string" ? event : JSON.stringify(event) });
  }

  fail(code: number): void {
    this.onclose?.({ code });
  }

  /** Without the pings, which every open link sends. */
  get said(): { type: string }[] {
    return this.sent.filter((message) => message.type !== "ping");
  }
}

let clock: VirtualClock;
let sockets: FakeSocket[];
let events: ServerEvent[];
let links: LinkState[];
let ends: EndOfStream[];
let rejected: number;
let token: string;
let why: EndOfStream | null;
let asked: number;
let stream: EventStream;

const socket = (): FakeSocket => sockets.at(-1) as FakeSocket;

beforeEach(async () => {
  clock = new VirtualClock();
  sockets = [];
  events = [];
  links = [];
  ends = [];
  rejected = 0;
  token = "t1";
  why = null;
  asked = 0;
  stream = new EventStream({
    url: "ws://gateway/events",
    token: () => token,
    openSocket: (url, protocols) => {
      const opened = new FakeSocket(url, protocols);
      sockets.push(opened);
      return opened;
    },
    clock,
    random: () => 0.5,
    onEvent: (event) => events.push(event),
    onLink: (state) => links.push(state),
    onEnd: (end) => ends.push(end),
    onRejected: () => {
      rejected += 1;
    },
    askWhy: async () => {
      asked += 1;
      return why;
    },
  });
  stream.start();
  await clock.pass(0);
});

describe("connecting", () => {
  it("offers the protocol and the token, never in the address", () => {
    expect(socket().url).toBe("ws://gateway/events");
    expect(socket().protocols).toEqual(["fieldcoach.events.v1", "bearer.t1"]);
  });

  it("hands over what it understands and counts the rest", () => {
    socket().open();
    socket().receive(STATE);
    socket().receive("nonsense");
    socket().receive({ type: "weather", id: "e2" });
    expect(events.map((event) => event.type)).toEqual(["state"]);
    expect(rejected).toBe(1);
    expect(links).toEqual(["open"]);
  });

  it("gives up an opening that hangs", async () => {
    await clock.pass(10_000);
    expect(sockets[0]?.closedWith).toBe(4000);
    expect(links).toEqual(["lost"]);
    await clock.pass(300);
    expect(sockets).toHaveLength(2);
  });
});

describe("coming back", () => {
  it("resumes after the last id with the token of that moment", async () => {
    socket().open();
    socket().receive({ ...FINAL, id: "a/7" });
    token = "t2";
    socket().fail(1006);
    await clock.pass(0);
    expect(socket().url).toBe("ws://gateway/events?after=a%2F7");
    expect(socket().protocols[1]).toBe("bearer.t2");
    socket().open();
    expect(links).toEqual(["open", "lost", "open"]);
  });

  it("waits longer each time while nothing is heard, also if the server accepts and closes", async () => {
    socket().open();
    socket().fail(1013);
    await clock.pass(299);
    expect(sockets).toHaveLength(1);
    await clock.pass(1);
    expect(sockets).toHaveLength(2);
    socket().open();
    socket().fail(1013);
    await clock.pass(1199);
    expect(sockets).toHaveLength(2);
    await clock.pass(1);
    expect(sockets).toHaveLength(3);
  });

  it.each([1, 3])("does not wait when the network is back after %i losses", async (losses) => {
    for (const pause of [300, 1200].slice(0, losses - 1)) {
      socket().fail(1006);
      await clock.pass(pause);
    }
    socket().fail(1006);
    stream.wake();
    await clock.pass(0);
    expect(sockets).toHaveLength(losses + 1);
  });

  it("asks by HTTP why handshakes fail, and believes it", async () => {
    for (const pause of [300, 1200]) {
      socket().fail(1006);
      await clock.pass(pause);
    }
    expect(asked).toBe(0);
    socket().fail(1006);
    await clock.pass(2700);
    expect(asked).toBe(1);
    expect(ends).toEqual([]);
    why = "token";
    socket().fail(1006);
    await clock.pass(0);
    expect(ends).toEqual(["token"]);
    expect(clock.pending).toBe(0);
  });
});

describe("a dead link", () => {
  it("is noticed by a ping without an answer", async () => {
    socket().open();
    expect(socket().sent.map((message) => message.type)).toEqual(["ping"]);
    await clock.pass(6_000);
    expect(links.at(-1)).toBe("lost");
  });

  it("is not one that answers", async () => {
    socket().open();
    for (let i = 0; i < 10; i += 1) {
      socket().receive(PONG);
      await clock.pass(6_000);
    }
    expect(links).toEqual(["open"]);
    expect(socket().sent).toHaveLength(11);
  });

  it("does not disturb the next one with a late close", async () => {
    const first = socket();
    first.open();
    await clock.pass(6_000);
    await clock.pass(300);
    socket().open();
    expect(first.onclose).toBeNull();
    expect(links.at(-1)).toBe("open");
  });

  it("is looked for at once when the page is woken", () => {
    socket().open();
    stream.wake();
    expect(socket().sent).toHaveLength(1);
    socket().receive(PONG);
    stream.wake();
    expect(socket().sent).toHaveLength(2);
  });
});

describe("the end", () => {
  it.each([
    [1000, "ended"],
    [1008, "misbehaved"],
    [4401, "token"],
    [4403, "refused"],
    [4409, "replaced"],
  ] as const)("comes with code %i", async (code, end) => {
    socket().open();
    socket().fail(code);
    await clock.pass(60_000);
    expect(ends).toEqual([end]);
    expect(links.at(-1)).toBe("closed");
    expect(sockets).toHaveLength(1);
  });

  it("is not an expired token that was renewed meanwhile", async () => {
    socket().open();
    token = "t2";
    socket().fail(4401);
    await clock.pass(300);
    expect(ends).toEqual([]);
    expect(socket().protocols[1]).toBe("bearer.t2");
  });

  it("is final when the page closes", async () => {
    socket().open();
    stream.close();
    stream.close();
    stream.wake();
    stream.send({ type: "pause" });
    await clock.pass(60_000);
    expect(sockets).toHaveLength(1);
    expect(socket().closedWith).toBe(1000);
    expect(socket().said).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it("holds while an answer is on its way", async () => {
    why = "token";
    for (const pause of [300, 1200]) {
      socket().fail(1006);
      await clock.pass(pause);
    }
    socket().fail(1006);
    stream.close();
    await clock.pass(60_000);
    expect(ends).toEqual([]);
  });
});

describe("what the page says", () => {
  it("goes out at once on an open link", () => {
    socket().open();
    stream.send({ type: "pause" });
    stream.sendIfOpen({ type: "stats", rtt_ms: 90 });
    expect(socket().said).toEqual([{ type: "pause" }, { type: "stats", rtt_ms: 90 }]);
  });

  it("waits for the link, in order; figures of the moment do not", () => {
    stream.send({ type: "pause" });
    stream.sendIfOpen({ type: "stats", rtt_ms: 90 });
    stream.send({ type: "resume" });
    socket().open();
    expect(socket().said).toEqual([{ type: "pause" }, { type: "resume" }]);
  });

  it("is bounded, and what is dropped is counted", () => {
    for (let i = 0; i < 70; i += 1) stream.send({ type: "ack", cue_id: `c${i}`, action: "shown", at: 0 });
    expect(stream.dropped).toBe(6);
    socket().open();
    expect(socket().said).toHaveLength(64);
  });
});
