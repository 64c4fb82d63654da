/**
 * Offers and answers of one connection, one after another: the first, ICE restarts, and changes of what is sent.
 *
 * The packet time of Opus stands only in the description of the far side. So it is changed without the server: a
 * fresh offer is set, then the server's last answer with other figures. An ICE restart uses the same two steps
 * and waits for the network in between; whoever comes second waits, or leaves it to the next attempt.
 */

import type { Profile } from "./protocol";
import { declareNack, withProfile } from "./sdp";

/** The part of RTCPeerConnection that is used. */
export interface Negotiable {
  readonly signalingState: RTCSignalingState;
  createOffer(): Promise<RTCSessionDescriptionInit>;
  setLocalDescription(description: RTCLocalSessionDescriptionInit): Promise<void>;
  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void>;
}

export class Negotiation {
  /** The last answer as the server gave it; empty before the first. */
  answer = "";
  private inUse = "";
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly connection: Negotiable,
    private profile: Profile,
  ) {}

  /** Do this when everything begun before is done; a failure stays with who asked. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const run = this.last.then(work);
    this.last = run.catch(() => undefined);
    return run;
  }

  async offer(): Promise<void> {
    const { sdp = "" } = await this.connection.createOffer();
    await this.connection.setLocalDescription({ type: "offer", sdp: declareNack(sdp) });
  }

  /** Take the server's answer; what it says of Opus is replaced by the profile that is wanted by now. */
  async accept(answer: string): Promise<void> {
    const sdp = withProfile(answer, this.profile);
    await this.connection.setRemoteDescription({ type: "answer", sdp });
    this.answer = answer;
    this.inUse = sdp;
  }

  /** @returns whether sound is sent by this profile now; not if a newer one follows or the time is bad. */
  follow(profile: Profile): Promise<boolean> {
    this.profile = profile;
    return this.serially(async () => {
      if (this.profile !== profile || !this.answer) return false;
      if (withProfile(this.answer, profile) === this.inUse) return true;
      // The offer of an ICE restart may stand for seconds, until the network answers; that answer brings both.
      if (this.connection.signalingState !== "stable") return false;
      try {
        await this.offer();
        await this.accept(this.answer);
        return true;
      } catch {
        await this.takeBack();
        return false;
      }
    });
  }

  /** An offer that stands without its answer would block every later one. */
  private async takeBack(): Promise<void> {
    if (this.connection.signalingState !== "have-local-offer") return;
    await this.connection.setLocalDescription({ type: "rollback" }).catch(() => undefined);
  }
}
