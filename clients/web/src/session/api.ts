/** The HTTP calls of the public protocol. Each gives the answer or throws a RequestError that can be shown. */

import { offline, problemOf, RequestError, unreadable } from "./problem";
import type { SessionDescription, SessionRequest, Summary } from "./protocol";
import { ProtocolError, parseDevToken, parseSession, parseSummary } from "./protocol_reader";

/** Longer than a slow 2G round trip with TLS set-up (4-6 s), shorter than a person's patience. */
const REQUEST_TIMEOUT_MS = 15_000;

/** 16 KiB beside the live sound, on a link that bears L1 (28 kbps) and little more. */
const UPLOAD_TIMEOUT_MS = 30_000;

interface Call {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  token?: string;
  body?: string | Uint8Array<ArrayBuffer>;
  contentType?: string;
  ifMatch?: string;
  timeoutMs?: number;
  /** Ends the call before its time. */
  signal?: AbortSignal;
  /** Live sound goes first. */
  priority?: RequestPriority;
}

/** @throws RequestError when there is no answer, or one of 400 and above. */
export async function request(url: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = {};
  if (call.token) headers.Authorization = `Bearer ${call.token}`;
  const timeout = AbortSignal.timeout(call.timeoutMs ?? REQUEST_TIMEOUT_MS);
  if (call.contentType) headers["Content-Type"] = call.contentType;
  if (call.ifMatch) headers["If-Match"] = call.ifMatch;
  let response: Response;
  try {
    response = await fetch(url, {
      method: call.method,
      headers,
      ...(call.body === undefined ? {} : { body: call.body }),
      cache: "no-store",
      credentials: "omit",
      priority: call.priority ?? "auto",
      signal: call.signal ? AbortSignal.any([call.signal, timeout]) : timeout,
    });
  } catch {
    throw new RequestError(offline());
  }
  if (response.status >= 400) {
    const body: unknown = await response.json().catch(() => null);
    throw new RequestError(problemOf(response.status, body, response.headers.get("Retry-After")));
  }
  return response;
}

async function readJson<T>(response: Response, parse: (json: unknown) => T): Promise<T> {
  try {
    return parse(await response.json());
  } catch (error) {
    throw new RequestError(
      unreadable(error instanceof ProtocolError ? error.message : "the body is not JSON"),
    );
  }
}

/** A user token of a local stack; the gateway answers 404 anywhere else. */
export async function requestDevToken(): Promise<string> {
  return readJson(await request("/v1/dev/token", { method: "POST" }), parseDevToken);
}

export async function createSession(userToken: string, wanted: SessionRequest): Promise<SessionDescription> {
  const response = await request("/v1/sessions", {
    method: "POST",
    token: userToken,
    contentType: "application/json",
    body: JSON.stringify(wanted),
  });
  return readJson(response, parseSession);
}

/** Sound that was lost on the way: records of packets, see backfill_records. */
export async function uploadSound(
  sessionId: string,
  sessionToken: string,
  records: Uint8Array<ArrayBuffer>,
): Promise<void> {
  await request(`/v1/sessions/${sessionId}/backfill`, {
    method: "POST",
    token: sessionToken,
    contentType: "application/vnd.fieldcoach.opus",
    body: records,
    timeoutMs: UPLOAD_TIMEOUT_MS,
    priority: "low",
  });
}

export async function endSession(url: string, sessionToken: string): Promise<void> {
  await request(url, { method: "POST", token: sessionToken });
}

/** The summary, or the seconds to wait before asking again while it is being made. */
export async function fetchSummary(
  url: string,
  sessionToken: string,
): Promise<{ summary: Summary } | { retryAfterS: number }> {
  const response = await request(url, { method: "GET", token: sessionToken });
  if (response.status === 202) return { retryAfterS: Number(response.headers.get("Retry-After")) || 1 };
  return { summary: await readJson(response, parseSummary) };
}
