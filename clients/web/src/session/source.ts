/** What can be sent as the visit's sound: the microphone, or a file in its place. */

export interface AudioSource {
  readonly kind: "microphone" | "file";
  /** The file's name; empty for the microphone. */
  readonly name: string;
  readonly track: MediaStreamTrack;
  /** Loudness of this moment, 0 to 1. */
  level(): number;
  /** Begin to play; the microphone has begun already. */
  play(): void;
  /** Send silence from the next packet on. */
  pause(): void;
  resume(): void;
  /** Give the device back. */
  stop(): void;
}

/** What happens to a source while it is in use. */
export interface SourceEvents {
  /** It gives no more sound: unplugged, taken away, or the file is at its end. */
  onEnded: () => void;
  /** The system has silenced it (an incoming call), or given it back. */
  onMuted: (muted: boolean) => void;
}

/** Speech at an arm's length is around -40 dBFS, shouting near 0: the meter's scale begins where a room's noise ends. */
const FLOOR_DB = -60;

/** Loudness of a signal on a scale that looks even to the eye. */
export class LevelMeter {
  private readonly analyser: AnalyserNode;
  private readonly samples: Float32Array<ArrayBuffer>;

  constructor(context: AudioContext, input: AudioNode) {
    this.analyser = context.createAnalyser();
    // 21 ms at 48 kHz: one syllable's peak is not averaged away.
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    input.connect(this.analyser);
  }

  read(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    return levelOf(this.samples);
  }
}

/** 0 at -60 dBFS and below, 1 at full scale. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB));
}
