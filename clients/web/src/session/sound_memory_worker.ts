/**
 * Sees every packet between the encoder and the network, on a thread of its own: keeps it, and passes it on unless
 * the valve is shut. Nothing in here is ever written anywhere; the memory ends with the worker.
 */

import { type Piece, piecesOf } from "./backfill_records";
import { OpusRing } from "./opus_ring";
import type { MissingRange } from "./protocol";
import { Valve } from "./valve";

/** All audio sockets of a page are one stream, which the server calls 0. */
const SOCKET_SSRC = 0;

export type ToMemory =
  /** A packet of an audio socket; `capturedAt` is wall-clock milliseconds of its first sample. */
  | { do: "add"; timestamp: number; payload: Uint8Array; capturedAt: number; isFirst: boolean }
  | { do: "keep"; on: boolean }
  | { do: "hold"; on: boolean }
  | { do: "cut"; id: number; range: MissingRange }
  | { do: "erase" };

export type FromMemory = { is: "ready" } | { is: "cut"; id: number; pieces: Piece[] };

/** What TypeScript's list of the page's interfaces lacks: this runs in a worker. */
interface EncodedFrame {
  readonly data: ArrayBuffer;
  getMetadata(): { synchronizationSource?: number; rtpTimestamp?: number; captureTime?: number };
}
interface Scope {
  onmessage: ((event: { data: ToMemory }) => void) | null;
  onrtctransform:
    | ((event: {
        transformer: { readable: ReadableStream<EncodedFrame>; writable: WritableStream<EncodedFrame> };
      }) => void)
    | null;
  postMessage(message: FromMemory, transfer?: Transferable[]): void;
}
const scope = globalThis as unknown as Scope;

const ring = new OpusRing();
const valve = new Valve();
let isKeeping = true;

scope.onmessage = ({ data: message }) => {
  switch (message.do) {
    case "add": {
      const { timestamp, payload, capturedAt, isFirst } = message;
      if (isFirst) ring.resume(SOCKET_SSRC);
      ring.add(SOCKET_SSRC, timestamp, isKeeping ? payload : null, capturedAt);
      break;
    }
    case "keep":
      isKeeping = message.on;
      break;
    case "hold":
      valve.isHolding = message.on;
      break;
    case "erase":
      isKeeping = false;
      ring.erase();
      break;
    case "cut": {
      const pieces = piecesOf(message.range, ring);
      scope.postMessage(
        { is: "cut", id: message.id, pieces },
        pieces.map((piece) => piece.buffer),
      );
    }
  }
};

function look(frame: EncodedFrame): void {
  const { synchronizationSource: ssrc, rtpTimestamp, captureTime } = frame.getMetadata();
  if (ssrc === undefined || rtpTimestamp === undefined) return;
  // A copy: what is passed on is taken away from here.
  const payload = isKeeping ? new Uint8Array(frame.data.slice(0)) : null;
  ring.add(ssrc, rtpTimestamp, payload, performance.timeOrigin + (captureTime ?? performance.now()));
}

scope.onrtctransform = ({ transformer: { readable, writable } }) => {
  const passing = new TransformStream<EncodedFrame, EncodedFrame>({
    transform(frame, controller) {
      look(frame);
      // An empty one is silence that is not sent (DTX), and no sign of life.
      if (frame.data.byteLength === 0 || valve.passes(performance.now())) controller.enqueue(frame);
    },
  });
  // A connection that is closed ends its stream, in whichever of these ways.
  readable
    .pipeThrough(passing)
    .pipeTo(writable)
    .catch(() => undefined);
};

scope.postMessage({ is: "ready" });
