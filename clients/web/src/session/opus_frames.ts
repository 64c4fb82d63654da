/**
 * Opus outside of RTP: the binary frame of the audio socket (docs/protocol.md), and the ring in front of it.
 *
 * Each packet has its own number and timestamp: what a pause in speech leaves out and what the ring has dropped
 * lies between the packets of one frame as well.
 */

export interface OpusPacket {
  /** 16 bits, wraps. */
  sequence: number;
  /** Of its first sample at 48 kHz; 32 bits, wraps. */
  timestamp: number;
  payload: Uint8Array;
}

const VERSION = 1;
const HEAD_BYTES = 2;
const PACKET_HEAD_BYTES = 8;
const MAX_PACKETS = 255;

/** A frame of these packets, 1 to 255 of them, all numbers big endian. */
export function packFrame(packets: readonly OpusPacket[]): Uint8Array<ArrayBuffer> {
  if (packets.length < 1 || packets.length > MAX_PACKETS)
    throw new RangeError(`${packets.length} packets do not fit into a frame: 1 to ${MAX_PACKETS} do`);
  const size = packets.reduce((sum, { payload }) => sum + PACKET_HEAD_BYTES + payload.length, HEAD_BYTES);
  const frame = new Uint8Array(size);
  const view = new DataView(frame.buffer);
  frame.set([VERSION, packets.length]);
  let at = HEAD_BYTES;
  for (const { sequence, timestamp, payload } of packets) {
    view.setUint16(at, sequence);
    view.setUint32(at + 2, timestamp);
    view.setUint16(at + 6, payload.length);
    frame.set(payload, at + PACKET_HEAD_BYTES);
    at += PACKET_HEAD_BYTES + payload.length;
  }
  return frame;
}

/** What a frame adds to its packets. */
export function headerBytes(packets: number): number {
  return HEAD_BYTES + PACKET_HEAD_BYTES * packets;
}

/** One second at 48 kHz: older sound does not help the conversation any more. */
const RING_TICKS = 48_000;

/** More than a second of 20 ms packets; bounds what has the same timestamp. */
const RING_PACKETS = 64;

/** The last second of packets for a slow link. What falls out leaves a hole in the numbers. */
export class OpusRing {
  private packets: OpusPacket[] = [];
  dropped = 0;

  get length(): number {
    return this.packets.length;
  }

  put(packet: OpusPacket): void {
    this.packets.push(packet);
    while (this.packets.length > RING_PACKETS || this.span() > RING_TICKS) {
      this.packets.shift();
      this.dropped += 1;
    }
  }

  /** All that waits, oldest first. */
  take(): OpusPacket[] {
    return this.packets.splice(0);
  }

  private span(): number {
    const first = this.packets[0]?.timestamp ?? 0;
    const last = this.packets.at(-1)?.timestamp ?? 0;
    return (last - first) >>> 0;
  }
}
