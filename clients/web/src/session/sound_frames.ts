/** Samples into frames of the packet time, and which of them are worth sending. Pure. */

/** Speech for a recogniser: Opus at this rate spends no bits above 8 kHz, where the server hears nothing. */
export const SAMPLE_RATE = 16_000;

/** RTP's clock for Opus, whatever the rate of the samples (RFC 7587). */
const TICKS_PER_SAMPLE = 48_000 / SAMPLE_RATE;

export interface SoundFrame {
  /** Of its first sample at 48 kHz, 32 bits. */
  timestamp: number;
  samples: Float32Array<ArrayBuffer>;
}

/** Collects blocks of any size into frames of one length, which may change between two frames. */
export class FrameCutter {
  private pending = new Float32Array(0);

  /**
   * @param ptimeMs the packet time.
   * @param position samples before the first one, on a clock that all sockets of a visit share: the server calls
   *   each of them stream 0, so what is asked for by the clock of one can be found in what another has sent.
   */
  constructor(
    private ptimeMs: number,
    private position = 0,
  ) {}

  set packetTime(ms: number) {
    this.ptimeMs = ms;
  }

  /** @returns the frames that are full now. */
  add(block: Float32Array): SoundFrame[] {
    const joined = new Float32Array(this.pending.length + block.length);
    joined.set(this.pending);
    joined.set(block, this.pending.length);
    const size = (SAMPLE_RATE / 1000) * this.ptimeMs;
    const frames: SoundFrame[] = [];
    let at = 0;
    for (; at + size <= joined.length; at += size) {
      frames.push({
        timestamp: (this.position * TICKS_PER_SAMPLE) >>> 0,
        samples: joined.slice(at, at + size),
      });
      this.position += size;
    }
    this.pending = joined.slice(at);
    return frames;
  }
}

/** Mean power of -60 dBFS: a quiet room is above it, a muted microphone and a file's silence are not. */
const QUIET_POWER = 1e-6;

/** As Opus' own DTX: silence counts after 200 ms, and is told again every 400 ms. */
const HANGOVER_MS = 200;
const REFRESH_MS = 400;

/**
 * Leaves out silence. Opus' own DTX can't be used with WebCodecs: Chromium's encoder gives packets after a pause
 * the timestamps of the pause, so the timeline would shrink with every silence.
 */
export class SilenceGate {
  private quietMs = 0;
  private sinceSentMs = 0;

  /** @returns whether this frame is to be sent. */
  passes(samples: Float32Array, isDtx: boolean): boolean {
    const ms = (samples.length * 1000) / SAMPLE_RATE;
    let power = 0;
    for (const sample of samples) power += sample * sample;
    this.quietMs = power / Math.max(1, samples.length) < QUIET_POWER ? this.quietMs + ms : 0;
    this.sinceSentMs += ms;
    if (isDtx && this.quietMs > HANGOVER_MS && this.sinceSentMs <= REFRESH_MS) return false;
    this.sinceSentMs = 0;
    return true;
  }
}
