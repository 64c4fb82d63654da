import { beforeEach, expect, it } from "vitest";
import { AudioSocket, type BinarySocket } from "../../src/session/audio_socket";
import type { EncoderWiring } from "../../src/session/opus_encoder";
import type { Profile } from "../../src/session/protocol";
import { PROFILE } from "./samples";
import { VirtualClock } from "./virtual_clock";

class FakeSocket implements BinarySocket {
  bufferedAmount = 0;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  frames: Uint8Array[] = [];
  closedWith: number | undefined;

  constructor(readonly protocols: string[]) {}

  send(data: Uint8Array): void {
    this.frames.push(data);
  }

  close(code?: number): void {
    this.closedWith = code;
  }
}

let clock: VirtualClock;
let socket: FakeSocket;
let states: RTCPeerConnectionState[];
let encoder: EncoderWiring & { rungs: string[]; closed: boolean };
let audio: AudioSocket;

beforeEach(() => {
  clock = new VirtualClock();
  states = [];
  audio = new AudioSocket({
    url: "wss://here/audio",
    token: () => "t",
    track: {} as MediaStreamTrack,
    profile: PROFILE,
    clock,
    openSocket: (_url, protocols) => {
      socket = new FakeSocket(protocols);
      return socket;
    },
    capture: async (_track, profile, wiring) => {
      encoder = { ...wiring, rungs: [profile.rung], closed: false };
      return {
        follow: async (wanted: Profile) => {
          encoder.rungs.push(wanted.rung);
        },
        close: () => {
          encoder.closed = true;
        },
      };
    },
    onConnection: (state) => states.push(state),
  });
});

const packet = (number: number) => ({ timestamp: number * 960, payload: new Uint8Array([number]) });

async function opened(): Promise<void> {
  const published = audio.publish();
  socket.onopen?.();
  await published;
}

it("sends each packet under its number, and is connected when the gateway has not refused", async () => {
  await opened();
  expect(socket.protocols).toEqual(["fieldcoach.audio.v1", "bearer.t"]);
  expect(audio.isReachable).toBe(true);
  encoder.onPacket(packet(3));
  encoder.onPacket(packet(5));
  expect(socket.frames.map((frame) => [...frame])).toEqual([
    [1, 1, 0, 0, 0, 0, 0x0b, 0x40, 0, 1, 3],
    [1, 1, 0, 1, 0, 0, 0x12, 0xc0, 0, 1, 5],
  ]);
  expect(states).toEqual([]);
  await clock.pass(1_000);
  expect(states).toEqual(["connected"]);
  expect(await audio.stats()).toMatchObject({ packets_sent: 2, bytes_sent: 2, path: "websocket" });
});

it("keeps the last second while the link takes nothing, and shows that it is stuck", async () => {
  await opened();
  socket.bufferedAmount = 1;
  for (let n = 0; n < 60; n += 1) encoder.onPacket(packet(n));
  expect(socket.frames).toHaveLength(0);
  expect(audio.dropped).toBe(9);
  expect(await audio.pulse()).toEqual({ sent: 60, report: 0 });
  socket.bufferedAmount = 0;
  encoder.onPacket(packet(60));
  expect(socket.frames).toHaveLength(1);
  expect(socket.frames[0]?.[1]).toBe(51);
  expect(await audio.pulse()).toEqual({ sent: 61, report: 51 });
});

it("follows a profile, and takes the newest one into the encoder's beginning", async () => {
  expect(await audio.follow({ ...PROFILE, rung: "L2" })).toBe(false);
  await opened();
  expect(encoder.rungs).toEqual(["L2"]);
  expect(await audio.follow({ ...PROFILE, rung: "L3" })).toBe(true);
  expect(encoder.rungs).toEqual(["L2", "L3"]);
  expect(await audio.restartIce()).toBe("refused");
});

it("says when it can't be opened", async () => {
  const refused = audio.publish();
  socket.onclose?.({ code: 1006 });
  await expect(refused).rejects.toMatchObject({ retryable: true });
  expect(states).toEqual([]);
});

it("is lost with its socket", async () => {
  await opened();
  socket.onclose?.({ code: 1012 });
  expect(states).toEqual(["failed"]);
  expect(encoder.closed).toBe(true);
  await clock.pass(5_000);
  expect(states).toEqual(["failed"]);
});

it("is lost with its encoder", async () => {
  await opened();
  encoder.onFault();
  expect(states).toEqual(["failed"]);
  expect(socket.closedWith).toBe(1000);
});

it("sends nothing after its end, also when it ends before the socket is open", async () => {
  await opened();
  audio.close();
  encoder.onPacket(packet(0));
  expect(socket.frames).toHaveLength(0);
  expect([socket.closedWith, encoder.closed]).toEqual([1000, true]);
  expect(clock.pending).toBe(0);
});
