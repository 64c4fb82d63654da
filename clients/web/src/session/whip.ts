/**
 * One WHIP resource (RFC 9725): an offer is posted, the answer applied, and the resource deleted when it is of no
 * more use. A new offer under the same session replaces it and the session's end ends it: deleting it then as
 * well would race with the one that follows.
 */

import { request } from "./api";
import { RequestError } from "./problem";
import type { LinkStats } from "./protocol";
import type { Pulse, RestartOutcome } from "./recovery";
import { declareMonoSpeech, iceFragment, withIceOf } from "./sdp";

/** Host candidates are there in milliseconds; a relay that has not answered by then would hold up the visit. */
const GATHERING_MS = 2_000;

/** A request over a network that has just gone hangs; the next one over the new network must not wait for it. */
const RESTART_TIMEOUT_MS = 8_000;

/** Below this libopus refuses, and speech is not understood anyway. */
const OPUS_MIN_BITRATE = 6_000;

export interface WhipOptions {
  url: string;
  token: () => string;
  iceServers: RTCIceServer[];
  track: MediaStreamTrack;
  maxBitrate: number;
  onConnection: (state: RTCPeerConnectionState) => void;
}

export class WhipPublisher {
  private readonly connection: RTCPeerConnection;
  private readonly sender: RTCRtpSender;
  private resource: string | null = null;
  private answer = "";

  constructor(private readonly options: WhipOptions) {
    this.connection = new RTCPeerConnection({ iceServers: options.iceServers });
    const transceiver = this.connection.addTransceiver(options.track, { direction: "sendonly" });
    this.sender = transceiver.sender;
    const codecs = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
    const opus = codecs.filter((codec) => codec.mimeType.toLowerCase() === "audio/opus");
    if (opus.length > 0) transceiver.setCodecPreferences(opus);
    this.connection.onconnectionstatechange = () => options.onConnection(this.connection.connectionState);
  }

  /** @throws RequestError when the gateway refuses the offer or can't be reached. */
  async publish(): Promise<void> {
    await this.connection.setLocalDescription(await this.connection.createOffer());
    await gathered(this.connection);
    const offer = this.connection.localDescription?.sdp ?? "";
    const response = await request(this.options.url, {
      method: "POST",
      token: this.options.token(),
      contentType: "application/sdp",
      body: declareMonoSpeech(offer),
    });
    const location = response.headers.get("Location");
    // Relative to the address that answered: a redirect may have led to another gateway.
    if (location) this.resource = new URL(location, response.url).href;
    const answer = await response.text();
    if (this.connection.signalingState === "closed") return;
    await this.connection.setRemoteDescription({ type: "answer", sdp: answer });
    this.answer = answer;
    await this.setMaxBitrate(this.options.maxBitrate);
  }

  /**
   * ICE restart (RFC 9725, 4.3.3): new credentials over the same DTLS, so that the stream goes on.
   *
   * While there is no answer the offer stands, and the next call sends the same one again: a server that has
   * taken it already gives the same answer.
   */
  async restartIce(): Promise<RestartOutcome> {
    const { connection, resource } = this;
    if (resource === null || !this.answer) return "refused";
    try {
      if (connection.signalingState === "stable") {
        connection.restartIce();
        await connection.setLocalDescription(await connection.createOffer());
      }
      const response = await request(resource, {
        method: "PATCH",
        token: this.options.token(),
        contentType: "application/trickle-ice-sdpfrag",
        ifMatch: "*",
        body: iceFragment(connection.localDescription?.sdp ?? ""),
        timeoutMs: RESTART_TIMEOUT_MS,
      });
      const answer = withIceOf(await response.text(), this.answer);
      if (connection.signalingState !== "have-local-offer") return "answered";
      await connection.setRemoteDescription({ type: "answer", sdp: answer });
      this.answer = answer;
      return "answered";
    } catch (error) {
      return error instanceof RequestError && error.retryable ? "unreachable" : "refused";
    }
  }

  /** Whether the far side reports on what is sent. */
  async pulse(): Promise<Pulse> {
    const pulse: Pulse = { sent: 0, report: null };
    (await this.sender.getStats()).forEach((entry: Record<string, unknown>) => {
      if (entry.type === "outbound-rtp" && typeof entry.packetsSent === "number")
        pulse.sent = entry.packetsSent;
      if (entry.type === "remote-inbound-rtp" && typeof entry.timestamp === "number")
        pulse.report = entry.timestamp;
    });
    return pulse;
  }

  /** Bits per second of Opus; takes effect with the next packet. */
  async setMaxBitrate(bitsPerSecond: number): Promise<void> {
    const parameters = this.sender.getParameters();
    const encoding = parameters.encodings[0];
    if (!encoding) return;
    encoding.maxBitrate = Math.max(OPUS_MIN_BITRATE, bitsPerSecond);
    await this.sender.setParameters(parameters);
  }

  async stats(): Promise<LinkStats> {
    const found: LinkStats = {};
    const report: unknown[] = [];
    (await this.sender.getStats()).forEach((entry: unknown) => {
      report.push(entry);
    });
    for (const entry of report as Record<string, unknown>[]) {
      if (entry.type === "outbound-rtp") {
        if (typeof entry.packetsSent === "number") found.packets_sent = entry.packetsSent;
        if (typeof entry.bytesSent === "number") found.bytes_sent = entry.bytesSent;
        if (typeof entry.retransmittedPacketsSent === "number")
          found.retransmitted = entry.retransmittedPacketsSent;
      }
      if (entry.type === "remote-inbound-rtp" && typeof entry.roundTripTime === "number")
        found.rtt_ms = Math.round(entry.roundTripTime * 1000);
    }
    return found;
  }

  /** Stop sending at once. */
  close(): void {
    this.connection.onconnectionstatechange = null;
    this.connection.close();
  }

  /** Tell the gateway that no more comes, if it can be reached. */
  async release(): Promise<void> {
    const resource = this.resource;
    this.resource = null;
    if (resource === null) return;
    // Nobody waits for the answer: a gateway that does not hear it frees the media after 60 s of silence.
    await request(resource, { method: "DELETE", token: this.options.token() }).catch(() => undefined);
  }
}

function gathered(connection: RTCPeerConnection): Promise<void> {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      connection.removeEventListener("icegatheringstatechange", check);
      resolve();
    };
    const check = () => {
      if (connection.iceGatheringState === "complete") finish();
    };
    const timer = setTimeout(finish, GATHERING_MS);
    connection.addEventListener("icegatheringstatechange", check);
  });
}
