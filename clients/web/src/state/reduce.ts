/** Actions in, the next state out; no clock, no network, no page. */

import type { CueEvent, FinalEvent, PartialEvent, ServerEvent } from "../session/protocol";
import { type Action, type ShownCue, START, type ViewState, type Visit } from "./view";

export function reduce(state: ViewState, action: Action): ViewState {
  switch (action.type) {
    case "busy":
      return { ...state, busy: action.with };
    case "trouble":
      return { ...state, trouble: action.trouble, busy: null };
    case "token-needed":
      return { ...state, needsToken: action.needed, busy: null };
    case "visit-opened":
      return { ...START, screen: "visit", visit: action.visit };
    case "closed":
      return START;
    case "summary":
      return withSummary(state, action.summary);
    case "server":
      if (action.event.type === "summary") return withSummary(state, action.event);
      break;
  }
  if (state.visit === null) return state;
  const visit = reduceVisit(state.visit, action);
  return visit === state.visit ? state : { ...state, visit };
}

function withSummary(state: ViewState, summary: NonNullable<Visit["summary"]>): ViewState {
  if (state.visit === null) return state;
  return { ...state, screen: "summary", visit: { ...state.visit, summary, cue: null, partial: null } };
}

function reduceVisit(visit: Visit, action: Action): Visit {
  switch (action.type) {
    case "server":
      return applyEvent(visit, action.event, action.now);
    case "rejected":
      return { ...visit, rejected: visit.rejected + 1 };
    case "link":
      return { ...visit, link: action.state };
    case "audio":
      return { ...visit, audio: action.state };
    case "sound":
      return {
        ...visit,
        rttMs: action.rttMs,
        lost: action.lost,
        dataUsed: action.dataUsed,
        path: action.path,
      };
    case "source":
      return { ...visit, source: action.source, sourceState: action.state };
    case "source-state":
      return { ...visit, sourceState: action.state };
    case "paused":
      // What was half said is never finished: the server discards what comes while paused.
      return { ...visit, paused: action.paused, partial: action.paused ? null : visit.partial };
    case "cue-closed":
      return visit.cue?.event.cue_id === action.cueId ? { ...visit, cue: null } : visit;
    case "ticked":
      return {
        ...visit,
        ticked: action.done
          ? [...visit.ticked.filter((id) => id !== action.stage), action.stage]
          : visit.ticked.filter((id) => id !== action.stage),
      };
    case "remembers":
      return { ...visit, remembers: action.works };
    case "filling":
      return { ...visit, filling: action.on };
    case "ending":
      return { ...visit, ending: true, cue: null, partial: null };
    case "halted":
      return { ...visit, halted: action.why };
    default:
      return visit;
  }
}

function applyEvent(visit: Visit, event: ServerEvent, now: number): Visit {
  switch (event.type) {
    case "state":
      return {
        ...visit,
        media: event.state,
        degraded: event.degraded,
        paused: pausedAfter(visit, event.state),
      };
    case "profile":
      return { ...visit, rung: event.rung };
    case "partial":
      return applyPartial(visit, event);
    case "final":
      return applyFinal(visit, event);
    case "gap":
      return { ...visit, gaps: [...visit.gaps, event] };
    case "cue":
      return visit.ending ? visit : { ...visit, cue: shownCue(event, now) ?? visit.cue };
    case "checklist":
      return { ...visit, stages: event.stages };
    default:
      return visit;
  }
}

/** The user's own pause counts at once; what the server says counts when it tells of the other way. */
function pausedAfter(visit: Visit, state: Visit["media"]): boolean {
  if (state === "paused") return true;
  return state === "live" && visit.media === "paused" ? false : visit.paused;
}

function applyPartial(visit: Visit, event: PartialEvent): Visit {
  const last = visit.finals.at(-1);
  // By the clock and not by the number alone: another worker may count its utterances anew.
  const isOver = last !== undefined && (event.end <= last.end || event.utterance === last.utterance);
  if (isOver || visit.paused || visit.ending) return visit;
  return { ...visit, partial: event };
}

function applyFinal(visit: Visit, event: FinalEvent): Visit {
  if (visit.finals.some((final) => final.id === event.id)) return visit;
  let at = visit.finals.length;
  while (at > 0 && (visit.finals[at - 1]?.start ?? 0) > event.start) at -= 1;
  const { partial } = visit;
  const settles = partial !== null && (partial.utterance === event.utterance || partial.end <= event.end);
  return {
    ...visit,
    finals: [...visit.finals.slice(0, at), event, ...visit.finals.slice(at)],
    partial: settles ? null : partial,
  };
}

/**
 * How long a cue still has, both moments by the server's clock: the phone's own may be minutes off.
 *
 * @returns null when it is too late: late advice is worse than none.
 */
export function shownCue(event: CueEvent, now: number): ShownCue | null {
  const leftMs = Math.min(event.ttl_ms, event.expires_at - event.sent_at);
  return leftMs > 0 ? { event, shownAt: now, expiresAt: now + leftMs } : null;
}
