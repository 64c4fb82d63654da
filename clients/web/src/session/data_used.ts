/** How much data the sound has cost, over all connections of a visit. */

import type { LinkStats } from "./protocol";

/** SRTP 10, UDP 8, IPv4 20: what a browser does not count. */
const BELOW_RTP_BYTES = 38;

export class DataUsed {
  private last = 0;

  /** @param before bytes, from before a reload. */
  constructor(private before = 0) {}

  /** @returns bytes so far. A total that is less than the last one is of another connection. */
  add(stats: LinkStats): number {
    const total =
      (stats.bytes_sent ?? 0) + (stats.header_bytes_sent ?? 0) + (stats.packets_sent ?? 0) * BELOW_RTP_BYTES;
    if (total < this.last) this.before += this.last;
    this.last = total;
    return this.before + total;
  }
}
