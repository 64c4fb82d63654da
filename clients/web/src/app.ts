/** What the buttons do: from the start of a visit to the next one. */

import { LiveVisit } from "./live_visit";
import { createSession } from "./session/api";
import { openAudioFile } from "./session/audio_file";
import { openMicrophone } from "./session/microphone";
import { canEncodeOpus } from "./session/opus_encoder";
import { RequestError } from "./session/problem";
import type { SessionDescription } from "./session/protocol";
import { loadVisit, type SavedVisit } from "./session/saved_visit";
import { openSoundMemory, SoundMemory } from "./session/sound_memory";
import type { AudioSource, SourceEvents } from "./session/source";
import { adoptTokenFromAddress, findUserToken, forgetUserToken, keepUserToken } from "./session/user_token";
import { Store } from "./state/store";
import { openedVisit } from "./state/view";
import { troubleOf } from "./trouble";

/** Names the text that stands on the start screen (ui/text.ts): change both together. */
const CONSENT = { language: "en", version: "2026-11" };

export class App {
  readonly store = new Store();
  private visit: LiveVisit | null = null;
  private memory: SoundMemory | null = null;

  private readonly sourceEvents: SourceEvents = {
    onEnded: () => this.visit?.sourceEnded(),
    onMuted: (muted) => this.visit?.sourceMuted(muted),
  };

  /** Take the token from the address, and go on with a visit that a reload has interrupted. */
  launch(): void {
    adoptTokenFromAddress();
    // Loaded before it is needed, or the first words of a visit would wait for it.
    this.memory = openSoundMemory();
    const saved = loadVisit();
    if (saved) this.run(saved, true);
  }

  /** Begin a visit. Without `listening` there is a checklist and no sound; `file` stands in for the microphone. */
  async start(listening: boolean, file: File | null): Promise<void> {
    const { store } = this;
    if (store.get().busy) return;
    store.dispatch({ type: "trouble", trouble: null });
    let source: AudioSource | null = null;
    try {
      store.dispatch({ type: "busy", with: "session" });
      const token = await findUserToken();
      if (token === null) {
        store.dispatch({ type: "token-needed", needed: true });
        return;
      }
      if (listening) this.memory ??= openSoundMemory();
      // Before the session: a refused microphone must not leave a visit behind that nobody uses.
      if (listening) source = await this.openSource(file);
      store.dispatch({ type: "busy", with: "session" });
      const session = await this.createSession(token, listening);
      if (session === null) {
        source?.stop();
        store.dispatch({ type: "token-needed", needed: true });
        return;
      }
      this.run({
        session,
        startedAt: Date.now(),
        listening,
        source: source?.kind ?? null,
        paused: false,
        acknowledged: [],
        ticked: [],
        dataUsed: 0,
      });
      if (source) this.visit?.attach(source);
    } catch (error) {
      source?.stop();
      store.dispatch({ type: "trouble", trouble: troubleOf(error) });
    }
  }

  /** Go on listening after a reload or a lost microphone. */
  async listenAgain(file: File | null): Promise<void> {
    const { store, visit } = this;
    if (!visit) return;
    store.dispatch({ type: "trouble", trouble: null });
    store.dispatch({ type: "source-state", state: "opening" });
    try {
      visit.attach(await this.openSource(file));
    } catch (error) {
      store.dispatch({ type: "source-state", state: "off" });
      store.dispatch({ type: "trouble", trouble: troubleOf(error) });
    }
  }

  useToken(token: string): void {
    keepUserToken(token);
    this.store.dispatch({ type: "token-needed", needed: false });
  }

  dismissTrouble(): void {
    this.store.dispatch({ type: "trouble", trouble: null });
  }

  /** The running visit; only its screen asks. */
  get live(): LiveVisit | null {
    return this.visit;
  }

  newVisit(): void {
    this.visit?.dispose();
    this.visit = null;
    this.store.dispatch({ type: "closed" });
  }

  private run(saved: SavedVisit, restored = false): void {
    const { session, listening, startedAt, ticked, dataUsed } = saved;
    this.store.dispatch({
      type: "visit-opened",
      visit: openedVisit({
        recogniser: session.asr,
        consentText: session.consent_text,
        hasRelay: session.ice_servers.length > 0,
        hasSocket: canEncodeOpus(),
        listening,
        startedAt,
        restored,
        source: saved.source === null ? null : { kind: saved.source, name: "" },
        ticked,
        dataUsed,
      }),
    });
    if (saved.paused) this.store.dispatch({ type: "paused", paused: true });
    const memory = listening ? (this.memory ?? openSoundMemory()) : new SoundMemory(null);
    if (listening) this.memory = null;
    this.visit = new LiveVisit(this.store, saved, memory);
    this.visit.open();
  }

  private async openSource(file: File | null): Promise<AudioSource> {
    this.store.dispatch({ type: "busy", with: file ? "file" : "microphone" });
    try {
      return await (file ? openAudioFile(file, this.sourceEvents) : openMicrophone(this.sourceEvents));
    } finally {
      this.store.dispatch({ type: "busy", with: null });
    }
  }

  /** @returns null when the user has to give another token. */
  private async createSession(token: string, listening: boolean): Promise<SessionDescription | null> {
    const wanted = { languages: ["en"], consent: { given: listening, ...CONSENT } };
    try {
      return await createSession(token, wanted);
    } catch (error) {
      if (!(error instanceof RequestError) || error.problem.status !== 401) throw error;
      // A kept token has expired, or the local stack has a new key: once more with a fresh one.
      forgetUserToken();
      const fresh = await findUserToken();
      if (fresh === null) {
        this.store.dispatch({ type: "trouble", trouble: troubleOf(error) });
        return null;
      }
      return createSession(fresh, wanted);
    }
  }
}
