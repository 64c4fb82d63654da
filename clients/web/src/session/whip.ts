/**
 * One WHIP resource (RFC 9725): an offer is posted, the answer applied, and the resource deleted when it is of no
 * more use. A new offer under the same session replaces it and the session's end ends it: deleting it then as
 * well would race with the one that follows.
 */

import { request } from "./api";
import { Negotiation } from "./negotiation";
import { RequestError } from "./problem";
import type { LinkStats, Profile } from "./protocol";
import type { Pulse, RestartOutcome } from "./recovery";
import { declareMonoSpeech, iceFragment, withIceOf } from "./sdp";
import type { Path } from "./transport_choice";

/** Host candidates are there in milliseconds; a relay that has not answered by then would hold up the visit. */
const GATHERING_MS = 2_000;

/** A request over a network that has just gone hangs; the next one over the new network must not wait for it. */
const RESTART_TIMEOUT_MS = 8_000;

/** Below this libopus refuses, and speech is not understood anyway. */
const OPUS_MIN_BITRATE = 6_000;

export interface WhipOptions {
  url: string;
  token: () => string;
  /** Of this moment: credentials of a TURN server live for five minutes. */
  iceServers: () => RTCIceServer[];
  track: MediaStreamTrack;
  profile: Profile;
  onConnection: (state: RTCPeerConnectionState) => void;
  /** Sees the sender before anything is negotiated. */
  onSender?: (sender: RTCRtpSender) => void;
}

/** What the browser knows of the sound that it sends. */
export interface SoundStats extends LinkStats {
  /** Of the last second, as the far side reports it. */
  fraction_lost?: number;
  path?: Path;
}

export class WhipPublisher {
  private readonly connection: RTCPeerConnection;
  private readonly sender: RTCRtpSender;
  private resource: string | null = null;
  private readonly negotiation: Negotiation;
  private asking: AbortController | null = null;
  /** A browser encodes from the first contact on, until the connection is closed. */
  goesOnEncoding = false;

  constructor(private readonly options: WhipOptions) {
    this.connection = new RTCPeerConnection({ iceServers: options.iceServers() });
    const transceiver = this.connection.addTransceiver(options.track, { direction: "sendonly" });
    this.sender = transceiver.sender;
    options.onSender?.(this.sender);
    this.negotiation = new Negotiation(this.connection, options.profile);
    const codecs = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
    const opus = codecs.filter((codec) => codec.mimeType.toLowerCase() === "audio/opus");
    if (opus.length > 0) transceiver.setCodecPreferences(opus);
    this.connection.onconnectionstatechange = () => options.onConnection(this.connection.connectionState);
    this.connection.addEventListener("connectionstatechange", () => {
      this.goesOnEncoding ||= this.connection.connectionState === "connected";
    });
  }

  /** ICE has found a way: what is missing then is DTLS. */
  get isReachable(): boolean {
    return ["connected", "completed"].includes(this.connection.iceConnectionState);
  }

  /** @throws RequestError when the gateway refuses the offer or can't be reached. */
  async publish(): Promise<void> {
    await this.negotiation.offer();
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
    await this.negotiation.accept(answer);
    await this.setMaxBitrate(this.options.profile.max_bitrate);
  }

  /**
   * ICE restart (RFC 9725, 4.3.3): new credentials over the same DTLS, so that the stream goes on.
   *
   * While there is no answer the offer stands, and the next call sends the same one again: a server that has
   * taken it already gives the same answer. A request that hangs on the network that has gone gives way.
   */
  restartIce(): Promise<RestartOutcome> {
    this.asking?.abort();
    return this.negotiation.serially(() => this.restart());
  }

  private async restart(): Promise<RestartOutcome> {
    const { connection, negotiation, resource } = this;
    if (resource === null || !negotiation.answer) return "refused";
    this.asking = new AbortController();
    try {
      if (connection.signalingState === "stable") {
        connection.setConfiguration({
          ...connection.getConfiguration(),
          iceServers: this.options.iceServers(),
        });
        connection.restartIce();
        await negotiation.offer();
      }
      const response = await request(resource, {
        method: "PATCH",
        token: this.options.token(),
        contentType: "application/trickle-ice-sdpfrag",
        ifMatch: "*",
        body: iceFragment(connection.localDescription?.sdp ?? ""),
        timeoutMs: RESTART_TIMEOUT_MS,
        signal: this.asking.signal,
      });
      const answer = withIceOf(await response.text(), negotiation.answer);
      if (connection.signalingState !== "have-local-offer") return "answered";
      await negotiation.accept(answer);
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

  /**
   * Send by this profile: the bitrate with the next packet, the packet time a moment later.
   *
   * @returns whether all of it is in use.
   */
  async follow(profile: Profile): Promise<boolean> {
    // A connection that is closing refuses; the next one begins with the profile anyway.
    await this.setMaxBitrate(profile.max_bitrate).catch(() => undefined);
    return this.negotiation.follow(profile);
  }

  /** Bits per second of Opus; takes effect with the next packet. */
  private async setMaxBitrate(bitsPerSecond: number): Promise<void> {
    const parameters = this.sender.getParameters();
    const encoding = parameters.encodings[0];
    if (!encoding) return;
    encoding.maxBitrate = Math.max(OPUS_MIN_BITRATE, bitsPerSecond);
    await this.sender.setParameters(parameters);
  }

  async stats(): Promise<SoundStats> {
    const found: SoundStats = {};
    const report: unknown[] = [];
    (await this.sender.getStats()).forEach((entry: unknown) => {
      report.push(entry);
    });
    for (const entry of report as Record<string, unknown>[]) {
      if (entry.type === "outbound-rtp") {
        if (typeof entry.packetsSent === "number") found.packets_sent = entry.packetsSent;
        if (typeof entry.bytesSent === "number") found.bytes_sent = entry.bytesSent;
        if (typeof entry.headerBytesSent === "number") found.header_bytes_sent = entry.headerBytesSent;
        if (typeof entry.retransmittedPacketsSent === "number")
          found.retransmitted = entry.retransmittedPacketsSent;
      }
      if (entry.type === "remote-inbound-rtp" && typeof entry.roundTripTime === "number")
        found.rtt_ms = Math.round(entry.roundTripTime * 1000);
      if (entry.type === "remote-inbound-rtp" && typeof entry.fractionLost === "number")
        found.fraction_lost = entry.fractionLost;
    }
    const path = pathOf(await this.connection.getStats());
    if (path !== null) found.path = path;
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

/** By the candidate pair that ICE has chosen. */
function pathOf(report: RTCStatsReport): Path | null {
  const entries = new Map<string, Record<string, unknown>>();
  report.forEach((entry: Record<string, unknown>, id: string) => {
    entries.set(id, entry);
  });
  const transport = [...entries.values()].find((entry) => entry.type === "transport");
  const pair = entries.get(String(transport?.selectedCandidatePairId));
  const local = entries.get(String(pair?.localCandidateId));
  if (!local) return null;
  return local.candidateType === "relay" ? "relay" : "direct";
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
