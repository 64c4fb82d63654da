/** Events as a gateway sends them. */

export const STATE = { type: "state", id: "e1", state: "live", reason: "", degraded: null, at: 0.5 };
export const PROFILE = {
  type: "profile",
  id: "e2",
  command: 3,
  rung: "L1",
  max_bitrate: 16000,
  ptime_ms: 40,
  fec: true,
  dtx: true,
  nack: false,
};
export const PARTIAL = {
  type: "partial",
  utterance: 1,
  start: 2,
  end: 3,
  committed: "there is",
  tentative: "no space",
  language: "en",
};
export const FINAL = {
  type: "final",
  id: "e3",
  utterance: 1,
  start: 2,
  end: 4,
  text: "there is no space on my shelf",
  words: [],
  language: "en",
  speaker: "unknown",
  confidence: 0.9,
  low_confidence: false,
  backfill: false,
};
export const CUE = {
  type: "cue",
  id: "e4",
  cue_id: "c1",
  cue: "obj_no_space",
  objection: "no_space",
  title: "No space?",
  text: "Offer a counter strip",
  severity: "suggest",
  haptic: "short",
  ttl_ms: 8000,
  expires_at: 108_000,
  sent_at: 100_000,
};
export const CHECKLIST = {
  type: "checklist",
  id: "e5",
  stages: [
    { id: "greet", title: "Greet", weight: 50, done: true, at: 1.2 },
    { id: "thanks", title: "Thanks", weight: 50, done: false, at: null },
  ],
};
export const METRICS = {
  type: "metrics",
  id: "e6",
  speech_s: 3,
  words: 9,
  questions: 0,
  stage_coverage: 0.5,
  talk_share: null,
};
export const GAP = { type: "gap", id: "e7", start: 5, duration: 0.9, reason: "lost" };
export const MISSING = {
  type: "missing",
  id: "e9",
  ranges: [
    { range: 7, start: 5, end: 5.9, ssrc: 9, first_timestamp: 48_000, last_timestamp: 91_200 },
    { range: 8, start: 9, end: 9.4, ssrc: 9, first_timestamp: 240_000, last_timestamp: 259_200 },
  ],
};
export const SUMMARY = {
  type: "summary",
  id: "e8",
  score: 50,
  stages: ["greet"],
  objections: ["no_space"],
  orders: [{ sku: "noodles", qty: 2, unit: "cartons" }],
  checklist: CHECKLIST.stages,
  tips: ["Say thanks."],
  text: "",
  source: "rules",
  duration_s: 60,
};
export const PONG = { type: "pong", t: 1, server_at: 100_000 };
export const TOKEN = { type: "token", session_token: "next", expires_in: 900 };
export const ERROR = { type: "error", problem: "urn:fieldcoach:problem:invalid", title: "No", detail: "why" };

export const EVENTS = [
  STATE,
  PROFILE,
  PARTIAL,
  FINAL,
  CUE,
  CHECKLIST,
  METRICS,
  GAP,
  MISSING,
  SUMMARY,
  PONG,
  TOKEN,
  ERROR,
];

export const SESSION = {
  session_id: "a".repeat(26),
  session_token: "session-token",
  expires_in: 900,
  whip_url: "/v1/sessions/a/whip",
  audio_url: "/v1/sessions/a/audio",
  events_url: "/v1/sessions/a/events",
  end_url: "/v1/sessions/a/end",
  summary_url: "/v1/sessions/a/summary",
  ice_servers: [],
  profile: { rung: "L1", max_bitrate: 16000, ptime_ms: 40, fec: true, dtx: true, nack: false },
  asr: { engine: "whisper", model: "outlet-en" },
  consent_text: "words",
};
