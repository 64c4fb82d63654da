/** Every word that the page shows of its own. Another language is another object of this shape. */

import type { FileFault } from "../session/audio_file";
import type { EndOfStream } from "../session/events";
import type { MicrophoneFault } from "../session/microphone";
import type { Recogniser } from "../session/protocol";

export interface Notice {
  title: string;
  detail: string;
  fix: string;
}

const notice = (title: string, detail: string, fix: string): Notice => ({ title, detail, fix });

const MICROPHONE: Record<MicrophoneFault, Notice> = {
  refused: notice(
    "The microphone is blocked",
    "This page may not use it, so it can't hear the visit.",
    "Tap the symbol left of the address, allow the microphone, and start again. Or use an audio file.",
  ),
  absent: notice(
    "No microphone was found",
    "This device has none that the browser can see.",
    "Plug one in and start again. Or use an audio file.",
  ),
  busy: notice(
    "The microphone is in use",
    "Another app or a call holds it.",
    "End the call or close the other app, and start again.",
  ),
  insecure: notice(
    "The microphone needs HTTPS",
    "Browsers give it only to pages with https:// or on localhost.",
    "Open this page by its https address. Or use an audio file.",
  ),
};

const FILE: Record<FileFault, Notice> = {
  unreadable: notice(
    "This file can't be played",
    "The browser does not know its format, or it holds no sound.",
    "Choose a WAV, FLAC, MP3, M4A or Ogg file.",
  ),
  "too-large": notice(
    "This file is too large",
    "It is held in memory while it plays; 40 MB is the limit.",
    "Choose a shorter one.",
  ),
};

const PROBLEMS: Record<string, Notice> = {
  offline: notice(
    "The server can't be reached",
    "There was no answer.",
    "Look at the phone's connection and try again.",
  ),
  unreadable: notice(
    "The server speaks another version",
    "Its answer is not what this page expects.",
    "Reload the page.",
  ),
  "token-missing": notice("Access is needed", "No token was given.", "Paste one below."),
  "token-invalid": notice(
    "The access token is not valid",
    "It is not one of this server.",
    "Paste another one below.",
  ),
  "token-expired": notice("The access token has expired", "", "Paste a fresh one below."),
  "not-yours": notice(
    "This visit is closed to you",
    "It has ended, or its token is another's.",
    "Start a new visit.",
  ),
  "no-capacity": notice(
    "Every listener is busy",
    "The server has no place for another visit right now.",
    "Wait a moment and try again.",
  ),
  "not-ready": notice(
    "The server is getting ready",
    "A part of it is still starting.",
    "Try again in a few seconds.",
  ),
  "too-many": notice(
    "Too many visits at once",
    "A limit of the server was reached.",
    "Wait a moment and try again.",
  ),
};

const SYNTHETIC_MODEL = "outlet-en";

export const text = {
  name: "FieldCoach",
  start: {
    headline: "A quiet coach for your outlet visit",
    promise: "It listens with you and shows one short cue at the moment it helps.",
    ask: "Tell the customer first",
    // The consent text of the gateway, version 2026-11 (`CONSENT` in app.ts), word by word.
    sentence:
      "“This visit is listened to by an assistant that turns speech into text and gives the salesperson short advice. Audio is not stored, and the text is forgotten after the visit. You may say no, or ask for a pause at any time.”",
    agrees: "The customer agrees",
    without: "Without it: checklist, no listening.",
    listen: "Start listening",
    playFile: "Start with this file",
    checklist: "Start checklist only",
    orFile: "or use an audio file",
    changeFile: "Change file",
    fileNeedsYes: "Used once the box above is ticked",
    recogniser:
      "How well speech is understood depends on the server’s recogniser. Its name is shown when the visit starts.",
    busy: {
      microphone: "Asking for the microphone…",
      file: "Reading the file…",
      session: "Opening the visit…",
    },
  },
  token: {
    title: "Access token",
    hint: "Ask whoever runs the server. On the server itself this prints one:",
    command: "fieldcoach token",
    label: "Token",
    use: "Use this token",
  },
  visit: {
    steps: (done: number, all: number) => `${done} of ${all} steps`,
    stepDone: "done",
    stepOpen: "open",
    noStepsYet: "The checklist comes with the visit’s first message.",
    tickHint: "Tap a step when it is done.",
    transcript: "Transcript",
    hearsNothing: "What is said appears here.",
    newest: "Newest",
    lostSound: (seconds: number) =>
      `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s of sound lost`,
    speaker: { rep: "You", other: "Customer", unknown: "" },
    pause: "Pause",
    resume: "Resume",
    end: "End visit",
    ending: "Ending…",
    makingSummary: "Making the summary…",
    filling: "Sending what the network lost…",
    cue: "Cue",
    done: "Done",
    dismiss: "Not now",
    time: "Time",
    consent: "The customer agreed to:",
  },
  state: {
    connecting: "Connecting",
    live: "Listening",
    paused: "Paused",
    suspended: "No sound arrives",
    ended: "Ended",
    ending: "Ending",
    reconnecting: "Reconnecting",
    stopped: "Stopped",
    checklist: "Checklist",
    waiting: "Not listening",
  },
  source: {
    on: "Mic on",
    paused: "Mic paused",
    opening: "Opening the microphone",
    muted: "Mic silenced by the phone",
    lost: "Mic lost",
    off: "Mic off",
    file: "Playing the file",
    filePaused: "File paused",
    finished: "The file has ended",
    none: "No sound is taken",
  },
  network: {
    good: "Good link",
    fair: "Fair link",
    poor: "Poor link",
    offline: "Offline",
  },
  path: { direct: "direct", relay: "by relay", websocket: "by WebSocket" },
  dataUsed: "Data used by the sound",
  forgets: "This browser can’t send lost sound later.",
  banner: {
    lost: "Connection lost. Trying again; the visit goes on.",
    audioLost: "The sound does not arrive. Trying again.",
    blocked: ({ hasRelay, hasSocket }: { hasRelay: boolean; hasSocket: boolean }) =>
      [
        `The sound can’t get through. Tried: directly (UDP)${hasRelay ? ", by relay (TURN)" : ""}${hasSocket ? ", by WebSocket" : ""}.`,
        hasSocket ? "" : "This browser can’t send sound by WebSocket; a current Chrome, Edge or Safari can.",
        "Use another network, such as mobile data, or turn off the VPN. It goes on trying.",
      ]
        .filter(Boolean)
        .join(" "),
    degraded: "The transcript may lag for a moment.",
    muted: "The phone has silenced the microphone, perhaps for a call. Listening goes on by itself after it.",
    finished: "The file has ended. End the visit to see its summary.",
  },
  continue: {
    reloaded: "The page was reloaded. The visit is still open.",
    lost: "The microphone was lost. The visit is still open.",
    off: "The visit is open, but nothing is heard.",
    listen: "Continue listening",
    file: "Choose the file again",
    orFile: "or use an audio file",
  },
  halted: {
    token: notice(
      "The visit’s access has expired",
      "The connection was away for too long.",
      "Start a new visit.",
    ),
    refused: notice("This visit is closed", "The server does not take it up again.", "Start a new visit."),
    replaced: notice("The visit is open in another tab", "Only one page can hold it.", ""),
    misbehaved: notice(
      "The server has closed the connection",
      "It did not understand this page.",
      "Reload the page.",
    ),
    ended: notice("The visit has ended", "", ""),
  } satisfies Record<EndOfStream, Notice>,
  useHere: "Use it here",
  summary: {
    title: "Visit summary",
    score: "Score",
    outOf: "of 100",
    objectionCount: (count: number) => (count === 1 ? "1 objection" : `${count} objections`),
    orderCount: (count: number) => (count === 1 ? "1 order line" : `${count} order lines`),
    order: "Order",
    noOrder: "No order was heard.",
    steps: "Steps",
    objections: "Objections",
    noObjections: "None was heard.",
    tips: "Next time",
    checklistOnly: "Checklist visit",
    checklistOnlyDetail: "Nothing was listened to. The steps are the ones you ticked.",
    newVisit: "New visit",
    lasted: (minutes: number, seconds: number) =>
      minutes > 0 ? `${minutes} min ${seconds} s` : `${seconds} s`,
    byRules: "Made from what was heard, by the playbook’s rules.",
    byLlm: "Worded by a language model from what was heard.",
  },
  close: "Close",
  recogniserName: ({ engine, model }: Recogniser): string =>
    model === SYNTHETIC_MODEL ? "Trial recogniser, about 340 words" : `Recogniser: ${engine}, model ${model}`,
  recogniser: ({ engine, model }: Recogniser): string =>
    model === SYNTHETIC_MODEL
      ? "Trial recogniser: a small model trained on synthetic speech, about 340 words of an outlet visit. Real speech needs a real Whisper model (ASR_MODEL=small)."
      : `Speech is understood by ${engine} with the model ${model}.`,
  microphone: MICROPHONE,
  file: FILE,
  problems: PROBLEMS,
  fault: notice(
    "Something went wrong in this page",
    "It could not go on.",
    "Reload the page, or try another browser.",
  ),
  serverFault: (status: number): Notice =>
    notice("The server has a problem", `It answered with status ${status}.`, "Try again in a moment."),
  tryAgainIn: (seconds: number) => `Try again in ${seconds} s.`,
};
