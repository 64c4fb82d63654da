/** While the sound goes by WebSocket: tries a peer connection beside it each minute, and hands over the one that works. */

import type { Clock } from "./clock";
import { RETURN_MS } from "./transport_choice";

/** The socket works meanwhile, so there is no hurry. */
const TRY_MS = 10_000;

/** The part of a publisher that is used. */
interface Trial {
  publish(): Promise<void>;
  close(): void;
}

export interface WayBackOptions<T extends Trial> {
  clock: Clock;
  create: (onConnection: (state: RTCPeerConnectionState) => void) => T;
  /** It is connected; whoever takes it closes it. */
  onBack: (publisher: T) => void;
}

export class WayBack<T extends Trial> {
  private trial: T | null = null;
  private cancel: (() => void) | null = null;

  constructor(private readonly options: WayBackOptions<T>) {}

  start(): void {
    this.stop();
    this.cancel = this.options.clock.after(RETURN_MS, () => this.attempt());
  }

  stop(): void {
    this.cancel?.();
    this.cancel = null;
    this.trial?.close();
    this.trial = null;
  }

  private attempt(): void {
    const { clock, create, onBack } = this.options;
    const trial = create((state) => {
      if (trial !== this.trial) return;
      if (state === "failed") this.start();
      if (state !== "connected") return;
      this.trial = null;
      this.stop();
      onBack(trial);
    });
    this.trial = trial;
    this.cancel = clock.after(TRY_MS, () => this.start());
    trial.publish().catch(() => {
      if (trial === this.trial) this.start();
    });
  }
}
