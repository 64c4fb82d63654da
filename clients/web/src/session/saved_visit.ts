/**
 * The visit that a reload must not lose, in this tab's storage: addresses, token and what was done by hand.
 *
 * Neither audio nor words: the transcript comes again from the gateway, which holds it in memory only.
 */

import type { SessionDescription } from "./protocol";
import { parseSession } from "./protocol_reader";

const KEY = "fieldcoach.visit";

export interface SavedVisit {
  session: SessionDescription;
  /** Wall clock, milliseconds since 1970: the timer goes on after a reload. */
  startedAt: number;
  listening: boolean;
  source: "microphone" | "file" | null;
  paused: boolean;
  /** Cues whose acknowledgement was sent, so that a replay does not send it twice. */
  acknowledged: string[];
  /** Stages ticked by hand. */
  ticked: string[];
  /** Bytes that the sound has cost so far. */
  dataUsed: number;
}

export function saveVisit(visit: SavedVisit): void {
  sessionStorage.setItem(KEY, JSON.stringify(visit));
}

export function forgetVisit(): void {
  sessionStorage.removeItem(KEY);
}

/** The visit of this tab, or null when there is none that this version of the page can read. */
export function loadVisit(): SavedVisit | null {
  const text = sessionStorage.getItem(KEY);
  if (text === null) return null;
  try {
    return readSavedVisit(text);
  } catch {
    forgetVisit();
    return null;
  }
}

/** @throws when the text is not a saved visit. */
export function readSavedVisit(text: string): SavedVisit {
  const json = JSON.parse(text) as Record<string, unknown>;
  if (typeof json.startedAt !== "number") throw new Error("a saved visit has a startedAt");
  const texts = (value: unknown): string[] =>
    Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];
  return {
    session: parseSession(json.session),
    startedAt: json.startedAt,
    listening: json.listening === true,
    source: json.source === "microphone" || json.source === "file" ? json.source : null,
    paused: json.paused === true,
    acknowledged: texts(json.acknowledged),
    ticked: texts(json.ticked),
    dataUsed: typeof json.dataUsed === "number" ? json.dataUsed : 0,
  };
}
