import { beforeEach, expect, it } from "vitest";
import { type Negotiable, Negotiation } from "../../src/session/negotiation";
import { PROFILE } from "./samples";
import { settled } from "./virtual_clock";

const SDP = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";
const L2 = { ...PROFILE, rung: "L2", max_bitrate: 12_000, ptime_ms: 60 };
const L3 = { ...PROFILE, rung: "L3", max_bitrate: 10_000, ptime_ms: 120 };

class FakeConnection implements Negotiable {
  signalingState: RTCSignalingState = "stable";
  local: string[] = [];
  remote: string[] = [];
  refuses = false;
  refusesRollback = false;

  async createOffer() {
    return { type: "offer" as const, sdp: SDP };
  }

  async setLocalDescription({ type, sdp }: RTCLocalSessionDescriptionInit) {
    if (type === "rollback" && this.refusesRollback) throw new Error("closed");
    this.signalingState = type === "rollback" ? "stable" : "have-local-offer";
    this.local.push(sdp ?? type ?? "");
  }

  async setRemoteDescription({ sdp }: RTCSessionDescriptionInit) {
    if (this.refuses) throw new Error("InvalidAccessError");
    this.signalingState = "stable";
    this.remote.push(sdp ?? "");
  }
}

let connection: FakeConnection;
let negotiation: Negotiation;

beforeEach(() => {
  connection = new FakeConnection();
  negotiation = new Negotiation(connection, PROFILE);
});

async function published(): Promise<void> {
  await negotiation.offer();
  await negotiation.accept(SDP);
}

it("offers to send again what is asked for, and takes the answer with the first profile", async () => {
  await published();
  expect(connection.local[0]).toContain("a=rtcp-fb:111 nack\r\n");
  expect(connection.remote[0]).toContain("a=ptime:40\r\n");
  expect(negotiation.answer).toBe(SDP);
  expect(await negotiation.follow({ ...PROFILE })).toBe(true);
  expect(connection.local).toHaveLength(1);
});

it("changes the packet time without the server", async () => {
  await published();
  expect(await negotiation.follow(L3)).toBe(true);
  expect(connection.remote.at(-1)).toContain("a=fmtp:111 maxaveragebitrate=10000\r\na=ptime:120\r\n");
  expect(await negotiation.follow(L3)).toBe(true);
  expect(connection.remote).toHaveLength(2);
});

it("goes to the newest of several at once", async () => {
  await published();
  const outcomes = await Promise.all([negotiation.follow(L2), negotiation.follow(L3)]);
  expect(outcomes).toEqual([false, true]);
  expect(connection.remote).toHaveLength(2);
});

it("waits for the first answer, which brings the profile with it", async () => {
  expect(await negotiation.follow(L2)).toBe(false);
  await published();
  expect(connection.remote[0]).toContain("a=ptime:60\r\n");
});

it("leaves an offer of an ICE restart alone, whose answer brings the profile too", async () => {
  await published();
  await negotiation.offer();
  expect(await negotiation.follow(L3)).toBe(false);
  expect(connection.remote).toHaveLength(1);
  await negotiation.accept(SDP);
  expect(await negotiation.follow(L3)).toBe(true);
  expect(connection.remote).toHaveLength(2);
});

it("does one thing after another, also after a failure", async () => {
  await published();
  let release: () => void = () => undefined;
  const failing = negotiation
    .serially(async () => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      throw new Error("network");
    })
    .catch(() => "failed");
  const followed = negotiation.follow(L2);
  await settled();
  expect(connection.remote).toHaveLength(1);
  release();
  expect(await failing).toBe("failed");
  expect(await followed).toBe(true);
});

it("takes an offer back whose answer is refused, and tries again when told again", async () => {
  await published();
  connection.refuses = true;
  expect(await negotiation.follow(L2)).toBe(false);
  expect(connection.signalingState).toBe("stable");
  expect(connection.local.at(-1)).toBe("rollback");
  connection.refusesRollback = true;
  expect(await negotiation.follow(L3)).toBe(false);
  connection.signalingState = "stable";
  connection.refuses = false;
  expect(await negotiation.follow(L3)).toBe(true);
});

it("gives up on a connection that refuses the offer itself", async () => {
  await published();
  connection.createOffer = () => Promise.reject(new Error("closed"));
  expect(await negotiation.follow(L2)).toBe(false);
});
