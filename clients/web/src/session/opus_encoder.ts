/**
 * The browser's Opus encoder (WebCodecs) behind frames in and packets out.
 *
 * One packet comes out for each frame that goes in, in order, one frame later (Chromium). So a packet takes the
 * timestamp of its frame from a queue: the encoder counts its own output and knows nothing of what was left out.
 */

import type { Profile } from "./protocol";
import { SAMPLE_RATE, type SoundFrame } from "./sound_frames";

/** Below this libopus refuses, and speech is not understood anyway. */
const MIN_BITRATE = 6_000;

export type EncodedFrame = { timestamp: number; payload: Uint8Array };

/** Safari before 26 and Firefox before 130 have none. */
export function canEncodeOpus(): boolean {
  return typeof AudioEncoder !== "undefined" && typeof AudioWorkletNode !== "undefined";
}

/** What WebCodecs is told for a profile. The link is TCP: it loses nothing, so forward error correction is of no use. */
export function encoderConfig(profile: Pick<Profile, "max_bitrate" | "ptime_ms">): AudioEncoderConfig {
  return {
    codec: "opus",
    sampleRate: SAMPLE_RATE,
    numberOfChannels: 1,
    bitrate: Math.max(MIN_BITRATE, profile.max_bitrate),
    opus: {
      format: "opus",
      // Microseconds.
      frameDuration: profile.ptime_ms * 1000,
      useinbandfec: false,
      usedtx: false,
    },
  };
}

export interface EncoderWiring {
  onPacket: (packet: EncodedFrame) => void;
  /** The encoder is of no use any more. */
  onFault: () => void;
}

export class OpusEncoder {
  private encoder: AudioEncoder | null = null;
  /** Of the frames that are in the encoder. */
  private timestamps: number[] = [];
  /** Frames that wait until the encoder before has given its last packet. */
  private waiting: SoundFrame[] = [];
  private isClosed = false;

  constructor(
    private profile: Profile,
    private readonly wiring: EncoderWiring,
  ) {
    this.open();
  }

  encode(frame: SoundFrame): void {
    if (this.encoder === null) {
      this.waiting.push(frame);
      return;
    }
    this.timestamps.push(frame.timestamp);
    const data = new AudioData({
      format: "f32-planar",
      sampleRate: SAMPLE_RATE,
      numberOfFrames: frame.samples.length,
      numberOfChannels: 1,
      timestamp: Math.round((frame.timestamp * 1e6) / 48_000),
      data: frame.samples,
    });
    try {
      this.encoder.encode(data);
    } catch {
      this.fail();
    }
    data.close();
  }

  /** Encode the frames that come from now on by this profile. */
  async follow(profile: Profile): Promise<void> {
    this.profile = profile;
    const last = this.encoder;
    if (last === null) return;
    this.encoder = null;
    await last.flush().catch(() => undefined);
    this.closeEncoder(last);
    if (this.isClosed) return;
    this.open();
    for (const frame of this.waiting.splice(0)) this.encode(frame);
  }

  close(): void {
    this.isClosed = true;
    this.waiting = [];
    if (this.encoder) this.closeEncoder(this.encoder);
    this.encoder = null;
  }

  private open(): void {
    this.timestamps = [];
    const { timestamps } = this;
    this.encoder = new AudioEncoder({
      output: (chunk) => {
        const timestamp = timestamps.shift();
        if (timestamp === undefined || this.isClosed) return;
        const payload = new Uint8Array(chunk.byteLength);
        chunk.copyTo(payload);
        this.wiring.onPacket({ timestamp, payload });
      },
      error: () => this.fail(),
    });
    try {
      this.encoder.configure(encoderConfig(this.profile));
    } catch {
      this.fail();
    }
  }

  private fail(): void {
    if (this.isClosed) return;
    this.close();
    this.wiring.onFault();
  }

  private closeEncoder(encoder: AudioEncoder): void {
    if (encoder.state !== "closed") encoder.close();
  }
}
