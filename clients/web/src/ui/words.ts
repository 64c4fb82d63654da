/** Small pure translations from data to what is read. */

import type { Visit } from "../state/view";

/** The one state that matters most to the person who looks; a key of `text.state`. */
export type StateKey =
  | "connecting"
  | "live"
  | "paused"
  | "suspended"
  | "ended"
  | "ending"
  | "reconnecting"
  | "stopped"
  | "checklist"
  | "waiting";

export function stateKey(visit: Visit): StateKey {
  if (visit.halted) return "stopped";
  if (visit.ending) return "ending";
  if (visit.link === "lost") return "reconnecting";
  if (!visit.listening) return "checklist";
  if (visit.paused) return "paused";
  if (visit.sourceState === "off" || visit.sourceState === "lost") return "waiting";
  if (visit.audio === "connecting" || visit.audio === "off" || visit.link === "connecting")
    return "connecting";
  if (visit.audio === "lost" || visit.audio === "blocked") return "reconnecting";
  // The sound is on its way, and the server has not heard the first of it.
  return visit.media === "created" ? "connecting" : visit.media;
}

export type SourceKey =
  | "on"
  | "paused"
  | "opening"
  | "muted"
  | "lost"
  | "off"
  | "file"
  | "filePaused"
  | "finished"
  | "none";

export function sourceKey(visit: Visit): SourceKey {
  if (!visit.listening) return "none";
  if (visit.ending) return "off";
  const isFile = visit.source?.kind === "file";
  if (visit.sourceState !== "on") return visit.sourceState;
  if (visit.paused) return isFile ? "filePaused" : "paused";
  return isFile ? "file" : "on";
}

/** The sound's link in one word; a key of `text.network`. Null while no sound is meant to be sent. */
export type NetworkKey = "good" | "fair" | "poor" | "offline";

/** From these on a link is fair or poor: the ladder's own steps (milliseconds, fraction lost). */
const RTT_MS = { fair: 500, poor: 900 };
const LOST = { fair: 0.05, poor: 0.15 };

export function networkKey(visit: Visit): NetworkKey | null {
  if (!visit.listening || visit.ending || visit.halted) return null;
  if (visit.link === "lost" || visit.audio === "lost" || visit.audio === "blocked") return "offline";
  if (visit.audio !== "connected") return null;
  if (visit.rung === "L5" || visit.media === "suspended") return "offline";
  const rtt = visit.rttMs ?? 0;
  const lost = visit.lost ?? 0;
  if (visit.rung === "L3" || visit.rung === "L4" || rtt > RTT_MS.poor || lost > LOST.poor) return "poor";
  return visit.rung === "L2" || rtt > RTT_MS.fair || lost > LOST.fair ? "fair" : "good";
}

/** 12_345 → `12 kB`, 3_456_789 → `3.5 MB`. */
export function dataSize(bytes: number): string {
  return bytes < 999_500 ? `${Math.round(bytes / 1_000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** `no_space` → `No space`. Ids are the only name that the summary gives an objection. */
export function readable(id: string): string {
  const words = id.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** 125 → `2:05`. */
export function clockTime(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = String(whole % 60).padStart(2, "0");
  return hours > 0 ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Shorter holes are hidden by concealment, and nobody misses a word. */
const GAP_SHOWN_S = 0.3;

export type TranscriptLine =
  | { kind: "final"; final: Visit["finals"][number] }
  | { kind: "gap"; gap: Visit["gaps"][number] };

/** A hole whose words came later is none any more: words in it that were sent again, at its beginning or later. */
function isFilled(gap: Visit["gaps"][number], finals: Visit["finals"]): boolean {
  const end = gap.start + gap.duration;
  return finals.some((final) => final.backfill && final.start < end && final.end > gap.start);
}

/** What came through between two holes is too short to be a line: a packet that says we are still here. */
const GAPS_JOINED_S = 0.5;

/** Finals and the holes between them, in the order they were spoken; holes close to each other are one. */
export function transcriptLines(finals: Visit["finals"], gaps: Visit["gaps"]): TranscriptLine[] {
  const all: TranscriptLine[] = [
    ...finals.map((final) => ({ kind: "final" as const, final })),
    ...gaps
      .filter((gap) => gap.duration >= GAP_SHOWN_S && !isFilled(gap, finals))
      .map((gap) => ({ kind: "gap" as const, gap })),
  ];
  const start = (line: TranscriptLine) => (line.kind === "final" ? line.final.start : line.gap.start);
  const lines: TranscriptLine[] = [];
  let gapEnd = Number.NEGATIVE_INFINITY;
  for (const line of all.sort((a, b) => start(a) - start(b))) {
    const last = lines.at(-1);
    if (line.kind === "gap" && last?.kind === "gap" && line.gap.start - gapEnd < GAPS_JOINED_S) {
      const duration = last.gap.duration + line.gap.duration; // what was heard between them is not lost
      lines[lines.length - 1] = { kind: "gap", gap: { ...last.gap, duration } };
    } else {
      lines.push(line);
    }
    if (line.kind === "gap") {
      gapEnd = line.gap.start + line.gap.duration;
    }
  }
  return lines;
}
