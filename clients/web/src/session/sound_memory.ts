/**
 * The page's side of the sound's memory: a worker that every connection's packets pass. It is filled only while
 * the visit listens, lives in RAM, and is erased at the end.
 */

import { type Piece, piecesOf } from "./backfill_records";
import { RTP_TICKS_PER_MS } from "./opus_ring";
import type { MissingRange } from "./protocol";
import type { FromMemory, ToMemory } from "./sound_memory_worker";

/** A small file from the page's own server: three round trips of a slow link. Without it the visit goes on. */
const LOADING_MS = 4_000;

/** Its timestamp counts from the page's first moment, as that of all sockets of the page. */
export interface SocketPacket {
  timestamp: number;
  payload: Uint8Array;
  /** The first one of its socket. */
  isFirst: boolean;
}

/** The part of Worker that is used. */
export interface MemoryWorker {
  onmessage: ((event: MessageEvent<FromMemory>) => void) | null;
  onerror: ((event: ErrorEvent) => void) | null;
  postMessage(message: ToMemory): void;
  terminate(): void;
}

/** Whether this browser shows encoded packets to a page. */
export function canRemember(): boolean {
  return "RTCRtpScriptTransform" in globalThis && "Worker" in globalThis;
}

export function openSoundMemory(): SoundMemory {
  if (!canRemember()) return new SoundMemory(null);
  try {
    // In one expression: by it Vite finds what to build as a worker.
    return new SoundMemory(
      new Worker(new URL("./sound_memory_worker.ts", import.meta.url), { type: "module" }),
    );
  } catch {
    // An older browser knows no worker of this kind.
    return new SoundMemory(null);
  }
}

export class SoundMemory {
  /** Resolves when the worker runs, or when it is not to be waited for any longer. */
  readonly ready: Promise<void>;
  private running = false;
  private isGiven = false;
  private number = 0;
  private readonly asked = new Map<number, (pieces: Piece[]) => void>();

  constructor(private worker: MemoryWorker | null) {
    this.ready = new Promise((resolve) => {
      if (!worker) {
        resolve();
        return;
      }
      setTimeout(resolve, LOADING_MS);
      worker.onmessage = ({ data }) => {
        if (data.is === "ready") {
          this.running = true;
          resolve();
        } else {
          this.asked.get(data.id)?.(data.pieces);
          this.asked.delete(data.id);
        }
      };
      worker.onerror = () => {
        // It did not load. One that fails later goes on passing packets.
        if (!this.running) this.worker = null;
        resolve();
      };
    });
  }

  /** Whether the sound of this moment passes in here, and can be held. */
  get isWatching(): boolean {
    return this.running && this.isGiven;
  }

  /** Whether lost sound of this browser can be sent later. */
  get isWorking(): boolean {
    return this.running;
  }

  /**
   * See what this sender sends, from its first packet on: it is too late once an offer was made.
   *
   * A worker that does not run would keep every packet from going out, so a sender is not given to it.
   *
   * @param sender null: from now on the sound goes another way.
   */
  watch(sender: RTCRtpSender | null): void {
    this.isGiven = false;
    if (!this.running || !this.worker || !sender) return;
    this.isGiven = true;
    sender.transform = new RTCRtpScriptTransform(this.worker as Worker);
  }

  /** A packet that goes by an audio socket, whether or not it will leave. */
  add({ timestamp, payload, isFirst }: SocketPacket): void {
    const capturedAt = performance.timeOrigin + timestamp / RTP_TICKS_PER_MS;
    this.worker?.postMessage({ do: "add", timestamp, payload, capturedAt, isFirst });
  }

  /** Whether what is sent is kept. */
  keep(on: boolean): void {
    this.worker?.postMessage({ do: "keep", on });
  }

  /** Whether the sound stays in here, but for a sign of life every two seconds. */
  hold(on: boolean): void {
    this.worker?.postMessage({ do: "hold", on });
  }

  /** What there is of this range, as bodies of uploads. */
  cut(range: MissingRange): Promise<Piece[]> {
    const { worker } = this;
    if (!worker || !this.running) return Promise.resolve(piecesOf(range, null));
    this.number += 1;
    const id = this.number;
    return new Promise((resolve) => {
      this.asked.set(id, resolve);
      worker.postMessage({ do: "cut", id, range });
    });
  }

  /** Forget everything, and keep nothing until told to. */
  erase(): void {
    this.worker?.postMessage({ do: "erase" });
  }

  /** Forget everything; connections that are still watched send nothing more. */
  close(): void {
    this.worker?.terminate();
    this.worker = null;
    this.running = false;
    this.asked.clear();
  }
}
