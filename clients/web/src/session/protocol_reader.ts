/** The one place where text from the network becomes the types of the protocol. */

import type {
  MediaState,
  MissingRange,
  Profile,
  ServerEvent,
  SessionDescription,
  Severity,
  Stage,
  Summary,
} from "./protocol";

/** A message of the server that does not fit the protocol. `field` names what is wrong with it. */
export class ProtocolError extends Error {
  constructor(
    readonly kind: string,
    readonly field: string,
  ) {
    super(`${kind}: the field "${field}" is missing or of another type than docs/protocol.md says`);
    this.name = "ProtocolError";
  }
}

const MEDIA_STATES: readonly MediaState[] = ["created", "connecting", "live", "paused", "suspended", "ended"];
const SEVERITIES: readonly Severity[] = ["info", "suggest", "warn"];
const SPEAKERS = ["rep", "other", "unknown"] as const;

/** Reads typed fields out of one JSON object, and names the first that does not fit. */
class Fields {
  private readonly source: Record<string, unknown>;

  constructor(
    value: unknown,
    private readonly kind: string,
    private readonly path = "",
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.refuse("");
    this.source = value as Record<string, unknown>;
  }

  private refuse(name: string): never {
    const where = `${this.path}${name}`.replace(/\.$/, "");
    throw new ProtocolError(this.kind, where || "message");
  }

  text(name: string): string {
    const value = this.source[name];
    return typeof value === "string" ? value : this.refuse(name);
  }

  textOrEmpty(name: string): string {
    const value = this.source[name];
    return value === undefined || value === null ? "" : this.text(name);
  }

  textOrNull(name: string): string | null {
    const value = this.source[name];
    return value === undefined || value === null ? null : this.text(name);
  }

  has(name: string): boolean {
    return this.source[name] !== undefined && this.source[name] !== null;
  }

  number(name: string): number {
    const value = this.source[name];
    return typeof value === "number" && Number.isFinite(value) ? value : this.refuse(name);
  }

  flag(name: string): boolean {
    const value = this.source[name];
    return typeof value === "boolean" ? value : this.refuse(name);
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.text(name) as T;
    return allowed.includes(value) ? value : this.refuse(name);
  }

  list<T>(name: string, read: (item: unknown, path: string) => T): T[] {
    const value = this.source[name];
    if (!Array.isArray(value)) this.refuse(name);
    return value.map((item, index) => read(item, `${this.path}${name}[${index}]`));
  }

  texts(name: string): string[] {
    return this.list(name, (item, path) => {
      if (typeof item !== "string") throw new ProtocolError(this.kind, path);
      return item;
    });
  }

  child(name: string): Fields {
    return new Fields(this.source[name], this.kind, `${this.path}${name}.`);
  }
}

/**
 * One event out of the text of a WebSocket message.
 *
 * Fields this client does not use are not checked, so that a server may add more.
 *
 * @returns the event, null for a type this client does not know (a newer server may send more kinds), and the id
 *   to resume after, which an unknown event has too.
 * @throws ProtocolError when a field that is used is missing or of another type.
 */
export function parseEvent(text: string): { event: ServerEvent | null; id: string | null } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new ProtocolError("event", "message");
  }
  const type = new Fields(json, "event").text("type");
  const fields = new Fields(json, type);
  const read = READERS.get(type);
  return { event: read ? read(fields) : null, id: fields.textOrNull("id") };
}

const READERS = new Map<string, (fields: Fields) => ServerEvent>(
  Object.entries({
    state: (f) => ({
      type: "state",
      id: f.text("id"),
      state: f.oneOf("state", MEDIA_STATES),
      reason: f.textOrEmpty("reason"),
      degraded: f.textOrNull("degraded"),
      at: f.number("at"),
    }),
    profile: (f) => ({
      type: "profile",
      id: f.text("id"),
      command: f.number("command"),
      ...readProfile(f),
    }),
    partial: (f) => ({
      type: "partial",
      utterance: f.number("utterance"),
      start: f.number("start"),
      end: f.number("end"),
      committed: f.text("committed"),
      tentative: f.text("tentative"),
    }),
    final: (f) => ({
      type: "final",
      id: f.text("id"),
      utterance: f.number("utterance"),
      start: f.number("start"),
      end: f.number("end"),
      text: f.text("text"),
      language: f.text("language"),
      speaker: f.oneOf("speaker", SPEAKERS),
      low_confidence: f.flag("low_confidence"),
      backfill: f.flag("backfill"),
    }),
    cue: (f) => ({
      type: "cue",
      id: f.text("id"),
      cue_id: f.text("cue_id"),
      cue: f.text("cue"),
      title: f.textOrEmpty("title"),
      text: f.text("text"),
      severity: f.oneOf("severity", SEVERITIES),
      ttl_ms: f.number("ttl_ms"),
      expires_at: f.number("expires_at"),
      sent_at: f.number("sent_at"),
    }),
    checklist: (f) => ({ type: "checklist", id: f.text("id"), stages: f.list("stages", readStage) }),
    metrics: (f) => ({
      type: "metrics",
      id: f.text("id"),
      speech_s: f.number("speech_s"),
      words: f.number("words"),
      questions: f.number("questions"),
      stage_coverage: f.number("stage_coverage"),
    }),
    gap: (f) => ({
      type: "gap",
      id: f.text("id"),
      start: f.number("start"),
      duration: f.number("duration"),
      reason: f.textOrEmpty("reason"),
    }),
    missing: (f) => ({ type: "missing", id: f.text("id"), ranges: f.list("ranges", readRange) }),
    summary: (f) => ({ type: "summary", id: f.text("id"), ...readSummary(f) }),
    pong: (f) => ({ type: "pong", t: f.number("t"), server_at: f.number("server_at") }),
    token: (f) => ({
      type: "token",
      session_token: f.text("session_token"),
      expires_in: f.number("expires_in"),
      ...(f.has("ice_servers") ? { ice_servers: f.list("ice_servers", readIceServer) } : {}),
    }),
    error: (f) => ({ type: "error", title: f.textOrEmpty("title"), detail: f.textOrEmpty("detail") }),
  } satisfies { [T in ServerEvent["type"]]: (fields: Fields) => Extract<ServerEvent, { type: T }> }),
);

function readProfile(f: Fields): Profile {
  return {
    rung: f.text("rung"),
    max_bitrate: f.number("max_bitrate"),
    ptime_ms: f.number("ptime_ms"),
    fec: f.flag("fec"),
    dtx: f.flag("dtx"),
    nack: f.flag("nack"),
  };
}

function readRange(item: unknown, path: string): MissingRange {
  const f = new Fields(item, "missing", `${path}.`);
  return {
    range: f.number("range"),
    ssrc: f.number("ssrc"),
    first_timestamp: f.number("first_timestamp"),
    last_timestamp: f.number("last_timestamp"),
  };
}

function readIceServer(item: unknown, path: string): RTCIceServer {
  const f = new Fields(item, "ice_servers", `${path}.`);
  const urls = f.texts("urls");
  // A STUN server has neither.
  return f.has("username")
    ? { urls, username: f.text("username"), credential: f.text("credential") }
    : { urls };
}

function readStage(item: unknown, path: string): Stage {
  const f = new Fields(item, "stage", `${path}.`);
  return { id: f.text("id"), title: f.text("title"), weight: f.number("weight"), done: f.flag("done") };
}

function readSummary(f: Fields): Summary {
  return {
    score: f.number("score"),
    stages: f.texts("stages"),
    objections: f.texts("objections"),
    orders: f.list("orders", (item, path) => {
      const line = new Fields(item, "summary", `${path}.`);
      return { sku: line.text("sku"), qty: line.number("qty"), unit: line.text("unit") };
    }),
    checklist: f.list("checklist", readStage),
    tips: f.texts("tips"),
    text: f.textOrEmpty("text"),
    source: f.textOrEmpty("source"),
    duration_s: f.number("duration_s"),
  };
}

/** The body of `GET …/summary`. @throws ProtocolError */
export function parseSummary(json: unknown): Summary {
  return readSummary(new Fields(json, "summary"));
}

/** The body of `POST /v1/sessions`. @throws ProtocolError */
export function parseSession(json: unknown): SessionDescription {
  const f = new Fields(json, "session");
  const asr = f.child("asr");
  return {
    session_id: f.text("session_id"),
    session_token: f.text("session_token"),
    expires_in: f.number("expires_in"),
    whip_url: f.text("whip_url"),
    audio_url: f.text("audio_url"),
    events_url: f.text("events_url"),
    end_url: f.text("end_url"),
    summary_url: f.text("summary_url"),
    ice_servers: f.list("ice_servers", readIceServer),
    profile: readProfile(f.child("profile")),
    asr: { engine: asr.text("engine"), model: asr.text("model") },
    consent_text: f.textOrEmpty("consent_text"),
  };
}

/** The body of `POST /v1/dev/token`. @throws ProtocolError */
export function parseDevToken(json: unknown): string {
  return new Fields(json, "token").text("token");
}
