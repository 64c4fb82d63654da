/** The server's wall clock as seen from here: a phone's own may be minutes off. */

export class ServerClock {
  private best: { roundTripMs: number; offsetMs: number } | null = null;

  /** @param wallOrigin this device's wall clock at monotonic time 0, milliseconds since 1970. */
  constructor(private readonly wallOrigin: number) {}

  /**
   * One ping's answer. The fastest round trip wins, since its one-way times differ least.
   *
   * @param sentAt monotonic milliseconds, as are `receivedAt` and `now` below.
   * @param serverAt the server's wall clock when it answered.
   */
  add(sentAt: number, receivedAt: number, serverAt: number): void {
    const roundTripMs = receivedAt - sentAt;
    if (roundTripMs < 0 || (this.best && roundTripMs >= this.best.roundTripMs)) return;
    this.best = { roundTripMs, offsetMs: serverAt - (sentAt + receivedAt) / 2 };
  }

  /** The server's wall clock now; this device's until the first answer. */
  at(now: number): number {
    return Math.round(now + (this.best?.offsetMs ?? this.wallOrigin));
  }
}
