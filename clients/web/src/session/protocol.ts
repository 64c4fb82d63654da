/**
 * The public protocol (docs/protocol.md) as types; `protocol_reader` makes them of text.
 *
 * Times named `start`, `end`, `at` are seconds on the session's clock (since its first audio sample); times
 * named `*_at` are wall-clock milliseconds since 1970, by the server's clock.
 */

export type MediaState = "created" | "connecting" | "live" | "paused" | "suspended" | "ended";
export type Severity = "info" | "suggest" | "warn";
export type CueAction = "shown" | "dismissed" | "acted" | "expired";

export interface Profile {
  rung: string;
  /** Bits per second of Opus payload. */
  max_bitrate: number;
  ptime_ms: number;
  fec: boolean;
  dtx: boolean;
  nack: boolean;
}

/** The answer of `POST /v1/sessions`. Addresses are relative to the gateway. */
export interface SessionDescription {
  session_id: string;
  session_token: string;
  /** Seconds until the session token expires. */
  expires_in: number;
  whip_url: string;
  audio_url: string;
  events_url: string;
  end_url: string;
  summary_url: string;
  ice_servers: RTCIceServer[];
  profile: Profile;
  asr: Recogniser;
  consent_text: string;
}

export interface Recogniser {
  engine: string;
  model: string;
}

export interface SessionRequest {
  consent: { given: boolean; language: string; version: string };
  languages: string[];
}

interface Numbered {
  id: string;
}

export interface StateEvent extends Numbered {
  type: "state";
  state: MediaState;
  reason: string;
  /** Why the transcript may lag; null when all is well. */
  degraded: string | null;
  at: number;
}

export interface ProfileEvent extends Numbered, Profile {
  type: "profile";
  /** Rises with each change; the same one may come again. */
  command: number;
}

export interface PartialEvent {
  type: "partial";
  utterance: number;
  start: number;
  end: number;
  /** Only grows. */
  committed: string;
  /** May change or vanish. */
  tentative: string;
}

export interface FinalEvent extends Numbered {
  type: "final";
  utterance: number;
  start: number;
  end: number;
  text: string;
  language: string;
  speaker: "rep" | "other" | "unknown";
  low_confidence: boolean;
  /** Words of sound that was lost, and sent later. */
  backfill: boolean;
}

export interface CueEvent extends Numbered {
  type: "cue";
  cue_id: string;
  cue: string;
  title: string;
  text: string;
  severity: Severity;
  ttl_ms: number;
  expires_at: number;
  sent_at: number;
}

export interface Stage {
  id: string;
  title: string;
  weight: number;
  done: boolean;
}

export interface ChecklistEvent extends Numbered {
  type: "checklist";
  stages: Stage[];
}

export interface MetricsEvent extends Numbered {
  type: "metrics";
  speech_s: number;
  words: number;
  questions: number;
  stage_coverage: number;
}

export interface GapEvent extends Numbered {
  type: "gap";
  start: number;
  duration: number;
  reason: string;
}

/** A hole whose sound may still be sent; timestamps are those of the stream `ssrc`, modulo 2^32. */
export interface MissingRange {
  range: number;
  ssrc: number;
  first_timestamp: number;
  last_timestamp: number;
}

export interface MissingEvent extends Numbered {
  type: "missing";
  /** All of them: the list replaces the one before. */
  ranges: MissingRange[];
}

export interface OrderLine {
  sku: string;
  qty: number;
  unit: string;
}

export interface Summary {
  /** 0 to 100. */
  score: number;
  /** Ids of the stages that were done. */
  stages: string[];
  /** Ids, in the order they were raised. */
  objections: string[];
  orders: OrderLine[];
  checklist: Stage[];
  tips: string[];
  text: string;
  source: string;
  duration_s: number;
}

export interface SummaryEvent extends Numbered, Summary {
  type: "summary";
}

export interface PongEvent {
  type: "pong";
  t: number;
  server_at: number;
}

export interface TokenEvent {
  type: "token";
  session_token: string;
  expires_in: number;
  /** For the next peer connection; absent where there is no TURN server. */
  ice_servers?: RTCIceServer[];
}

export interface ErrorEvent {
  type: "error";
  title: string;
  detail: string;
}

export type ServerEvent =
  | StateEvent
  | ProfileEvent
  | PartialEvent
  | FinalEvent
  | CueEvent
  | ChecklistEvent
  | MetricsEvent
  | GapEvent
  | MissingEvent
  | SummaryEvent
  | PongEvent
  | TokenEvent
  | ErrorEvent;

/** What a client says over the events socket; anything else is answered by an `error` event. */
export type ClientMessage =
  /** `at`: wall-clock milliseconds since 1970. */
  | { type: "ack"; cue_id: string; action: CueAction; at: number }
  /** Sound is sent by this profile from now on. */
  | { type: "applied"; command: number; rung: string; stats?: LinkStats }
  | { type: "pause" }
  | { type: "resume" }
  | { type: "end" }
  | ({ type: "stats" } & LinkStats)
  | { type: "ping"; t: number };

export interface LinkStats {
  rtt_ms?: number;
  packets_sent?: number;
  /** Opus, without any headers. */
  bytes_sent?: number;
  /** RTP headers. */
  header_bytes_sent?: number;
  retransmitted?: number;
}
