/**
 * What went wrong, for a person: RFC 9457 problem details of the gateway, or what stands in for them.
 *
 * RequestError
 * └── carries a Problem, and with it `retryAfterS` when the server named a time
 */

export interface Problem {
  /** The word after `urn:fieldcoach:problem:`, or one of ours: `offline`, `unreadable`. */
  word: string;
  /** 0 when no answer came at all. */
  status: number;
  title: string;
  detail: string;
  fix: string;
  retryAfterS: number | null;
}

/** A request of the public protocol that was refused or never answered. */
export class RequestError extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.title} (${problem.word})`);
    this.name = "RequestError";
  }

  /** Whether the same request may well succeed later: no answer, a limit, or no capacity. */
  get retryable(): boolean {
    const { status } = this.problem;
    return status === 0 || status === 429 || status >= 500;
  }
}

const PREFIX = "urn:fieldcoach:problem:";

/** The problem in an answer's body. A proxy in between answers in HTML; then the status must do. */
export function problemOf(status: number, body: unknown, retryAfter: string | null): Problem {
  const fields = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const text = (name: string): string => (typeof fields[name] === "string" ? (fields[name] as string) : "");
  const type = text("type");
  const seconds = Number(retryAfter);
  return {
    word: type.startsWith(PREFIX) ? type.slice(PREFIX.length) : `http-${status}`,
    status,
    title: text("title"),
    detail: text("detail"),
    fix: text("fix"),
    retryAfterS: retryAfter !== null && Number.isFinite(seconds) ? seconds : null,
  };
}

/** A request that never got an answer. */
export function offline(): Problem {
  return { word: "offline", status: 0, title: "", detail: "", fix: "", retryAfterS: null };
}

/** An answer that is not what the protocol says: a client and a server of different versions. */
export function unreadable(detail: string): Problem {
  return { word: "unreadable", status: 0, title: "", detail, fix: "", retryAfterS: null };
}
