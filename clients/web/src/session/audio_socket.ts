/**
 * The sound by WebSocket, where UDP is blocked: Opus packets through a ring that drops the oldest.
 *
 * To the link it is a publisher like a peer connection. The server says nothing on this socket, so what shows that
 * it lives is that what was given to it leaves.
 */

import type { Clock } from "./clock";
import type { PacketSource } from "./opus_capture";
import type { EncodedFrame, EncoderWiring } from "./opus_encoder";
import { headerBytes, OpusRing, packFrame } from "./opus_frames";
import { offline, RequestError } from "./problem";
import type { Profile } from "./protocol";
import type { Pulse, RestartOutcome } from "./recovery";
import type { SocketPacket } from "./sound_memory";
import type { SoundStats } from "./whip";

const SUBPROTOCOL = "fieldcoach.audio.v1";

/** The gateway accepts first and refuses afterwards, within a question to the ingest. */
const SETTLED_MS = 1_000;

/** Of a frame below ours: WebSocket 6, TLS 22. TCP and IP are as much as what is counted below RTP (38). */
const BELOW_FRAME_BYTES = 28;

/** The part of WebSocket that is used. */
export interface BinarySocket {
  readonly bufferedAmount: number;
  onopen: (() => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}

export interface AudioSocketOptions {
  url: string;
  token: () => string;
  track: MediaStreamTrack;
  profile: Profile;
  clock: Clock;
  openSocket: (url: string, protocols: string[]) => BinarySocket;
  capture: (track: MediaStreamTrack, profile: Profile, wiring: EncoderWiring) => Promise<PacketSource>;
  onConnection: (state: RTCPeerConnectionState) => void;
  /** Each packet, also the ones that the ring will drop. */
  onPacket?: (packet: SocketPacket) => void;
}

export class AudioSocket {
  private socket: BinarySocket | null = null;
  private source: PacketSource | null = null;
  private readonly ring = new OpusRing();
  private isOpen = false;
  private isClosed = false;
  private sequence = 0;
  private sentPackets = 0;
  private sentBytes = 0;
  private sentHeaders = 0;
  private cancelSettled: (() => void) | null = null;
  private profile: Profile;

  constructor(private readonly options: AudioSocketOptions) {
    this.profile = options.profile;
  }

  /** An open socket has been answered. */
  get isReachable(): boolean {
    return this.isOpen;
  }

  /** Packets that the link was too slow for. */
  get dropped(): number {
    return this.ring.dropped;
  }

  /** @throws RequestError when the gateway can't be reached. */
  async publish(): Promise<void> {
    await this.open();
    if (this.isClosed) return;
    const { capture, track } = this.options;
    const { profile } = this;
    const source = await capture(track, profile, {
      onPacket: (packet) => this.put(packet),
      onFault: () => this.fail(),
    });
    if (this.isClosed) {
      source.close();
      return;
    }
    this.source = source;
    if (this.profile !== profile) await source.follow(this.profile);
  }

  private open(): Promise<void> {
    const { openSocket, url, token, clock, onConnection } = this.options;
    return new Promise((resolve, reject) => {
      const socket = openSocket(url, [SUBPROTOCOL, `bearer.${token()}`]);
      this.socket = socket;
      socket.onopen = () => {
        this.isOpen = true;
        this.cancelSettled = clock.after(SETTLED_MS, () => onConnection("connected"));
        resolve();
      };
      socket.onclose = () => {
        const opened = this.isOpen;
        this.close();
        if (opened) onConnection("failed");
        else reject(new RequestError(offline()));
      };
    });
  }

  private put({ timestamp, payload }: EncodedFrame): void {
    this.options.onPacket?.({ timestamp, payload, isFirst: this.sequence === 0 });
    this.ring.put({ sequence: this.sequence & 0xffff, timestamp, payload });
    this.sequence += 1;
    // What the browser holds back can't be taken out any more: the next packet asks again.
    if (!this.isOpen || !this.socket || this.socket.bufferedAmount > 0) return;
    const packets = this.ring.take();
    this.socket.send(packFrame(packets));
    this.sentPackets += packets.length;
    this.sentBytes += packets.reduce((sum, each) => sum + each.payload.length, 0);
    this.sentHeaders += headerBytes(packets.length) + BELOW_FRAME_BYTES;
  }

  private fail(): void {
    this.close();
    this.options.onConnection("failed");
  }

  async follow(profile: Profile): Promise<boolean> {
    this.profile = profile;
    if (!this.source) return false;
    await this.source.follow(profile);
    return this.profile === profile && !this.isClosed;
  }

  /** A socket can only be made anew. */
  async restartIce(): Promise<RestartOutcome> {
    return "refused";
  }

  /** Packets are made and none leaves: the socket is stuck. */
  async pulse(): Promise<Pulse> {
    return { sent: this.sequence, report: this.sentPackets };
  }

  async stats(): Promise<SoundStats> {
    return {
      packets_sent: this.sentPackets,
      bytes_sent: this.sentBytes,
      header_bytes_sent: this.sentHeaders,
      path: "websocket",
    };
  }

  close(): void {
    this.isClosed = true;
    this.isOpen = false;
    this.cancelSettled?.();
    this.source?.close();
    this.source = null;
    this.ring.take();
    const { socket } = this;
    this.socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onclose = null;
    socket.close(1000);
  }

  /** The gateway sees the socket close. */
  async release(): Promise<void> {}
}
