/** Everything the screen shows, as data. The reducer beside it is the only thing that makes a new one. */

import type { FileFault } from "../session/audio_file";
import type { EndOfStream, LinkState } from "../session/events";
import type { MediaLinkState } from "../session/media";
import type { MicrophoneFault } from "../session/microphone";
import type { Problem } from "../session/problem";
import type {
  CueEvent,
  FinalEvent,
  GapEvent,
  MediaState,
  PartialEvent,
  Recogniser,
  ServerEvent,
  Stage,
  Summary,
} from "../session/protocol";
import type { Path } from "../session/transport_choice";

/** Something that stands in the way, and that the user has to know. */
export type Trouble =
  | { kind: "request"; problem: Problem }
  | { kind: "microphone"; fault: MicrophoneFault }
  | { kind: "file"; fault: FileFault }
  /** A mistake in this page, or something that this browser can't do. */
  | { kind: "fault" };

export type SourceState =
  /** No sound is taken: none was agreed to, or the page was reloaded. */
  | "off"
  | "opening"
  | "on"
  /** The system has silenced the microphone, as in an incoming call. */
  | "muted"
  /** Unplugged or taken away. */
  | "lost"
  /** The file has played to its end. */
  | "finished";

export interface ShownCue {
  event: CueEvent;
  /** Monotonic milliseconds of this page. */
  shownAt: number;
  expiresAt: number;
}

export interface Visit {
  recogniser: Recogniser;
  consentText: string;
  /** Whether the customer agreed; without it there is a checklist and no sound. */
  listening: boolean;
  /** Wall clock, milliseconds since 1970. */
  startedAt: number;
  /** The page was reloaded: going on needs a click, since browsers tie the microphone to one. */
  restored: boolean;
  source: { kind: "microphone" | "file"; name: string } | null;
  sourceState: SourceState;
  link: LinkState;
  audio: MediaLinkState;
  media: MediaState;
  degraded: string | null;
  /** The rung that the server asks for. */
  rung: string;
  /** Of the sound, at the last look. */
  rttMs: number | null;
  /** Fraction of the packets. */
  lost: number | null;
  /** Bytes. */
  dataUsed: number;
  /** How the sound goes. */
  path: Path | null;
  /** What else than the direct way can be tried: a relay of the server, and the WebSocket of this browser. */
  hasRelay: boolean;
  hasSocket: boolean;
  paused: boolean;
  ending: boolean;
  /** The stream of events is over, and not by the visit's end. */
  halted: EndOfStream | null;
  finals: FinalEvent[];
  gaps: GapEvent[];
  /** Whether this browser can send lost sound later; null before it is known. */
  remembers: boolean | null;
  /** The end waits for lost sound to be sent. */
  filling: boolean;
  partial: PartialEvent | null;
  cue: ShownCue | null;
  stages: Stage[];
  ticked: string[];
  summary: Summary | null;
  /** Messages that did not fit the protocol. */
  rejected: number;
}

export interface ViewState {
  screen: "start" | "visit" | "summary";
  /** What is being waited for on the start screen. */
  busy: "microphone" | "file" | "session" | null;
  needsToken: boolean;
  trouble: Trouble | null;
  visit: Visit | null;
}

export type Action =
  | { type: "busy"; with: ViewState["busy"] }
  | { type: "trouble"; trouble: Trouble | null }
  | { type: "token-needed"; needed: boolean }
  | { type: "visit-opened"; visit: Visit }
  | { type: "server"; event: ServerEvent; now: number }
  | { type: "rejected" }
  | { type: "link"; state: LinkState }
  | { type: "audio"; state: MediaLinkState }
  | { type: "source"; source: Visit["source"]; state: SourceState }
  | { type: "source-state"; state: SourceState }
  | { type: "sound"; rttMs: number | null; lost: number | null; dataUsed: number; path: Path | null }
  | { type: "paused"; paused: boolean }
  | { type: "cue-closed"; cueId: string }
  | { type: "ticked"; stage: string; done: boolean }
  | { type: "remembers"; works: boolean }
  | { type: "filling"; on: boolean }
  | { type: "ending" }
  | { type: "halted"; why: EndOfStream | null }
  | { type: "summary"; summary: Summary }
  | { type: "closed" };

export const START: ViewState = {
  screen: "start",
  busy: null,
  needsToken: false,
  trouble: null,
  visit: null,
};

/** A visit that has just been opened. */
export function openedVisit(
  facts: Pick<
    Visit,
    | "recogniser"
    | "consentText"
    | "hasRelay"
    | "hasSocket"
    | "listening"
    | "startedAt"
    | "restored"
    | "source"
    | "ticked"
    | "dataUsed"
  >,
): Visit {
  return {
    ...facts,
    sourceState: "off",
    link: "connecting",
    audio: "off",
    media: "created",
    degraded: null,
    rung: "",
    rttMs: null,
    lost: null,
    path: null,
    paused: false,
    ending: false,
    halted: null,
    finals: [],
    gaps: [],
    remembers: null,
    filling: false,
    partial: null,
    cue: null,
    stages: [],
    summary: null,
    rejected: 0,
  };
}
