/** The phone's microphone, asked for as speech in one channel. */

import { type AudioSource, LevelMeter, type SourceEvents } from "./source";

/** `insecure`: browsers give no microphone to a page without TLS, but on localhost. */
export type MicrophoneFault = "refused" | "absent" | "busy" | "insecure";

export class MicrophoneError extends Error {
  constructor(readonly fault: MicrophoneFault) {
    super(`microphone ${fault}`);
    this.name = "MicrophoneError";
  }
}

const CONSTRAINTS: MediaStreamConstraints = {
  audio: { channelCount: 1, noiseSuppression: true, echoCancellation: true, autoGainControl: true },
};

/** Ask for the microphone; the browser asks the user. @throws MicrophoneError */
export async function openMicrophone(events: SourceEvents): Promise<AudioSource> {
  if (!navigator.mediaDevices?.getUserMedia) throw new MicrophoneError("insecure");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
  } catch (error) {
    throw new MicrophoneError(faultOf(error));
  }
  const track = stream.getAudioTracks()[0];
  if (!track) throw new MicrophoneError("absent");
  // Tells the encoder and the browser's processing that this is speech, not music.
  track.contentHint = "speech";
  track.onended = events.onEnded;
  track.onmute = () => events.onMuted(true);
  track.onunmute = () => events.onMuted(false);
  const context = new AudioContext();
  const meter = new LevelMeter(context, context.createMediaStreamSource(stream));
  return {
    kind: "microphone",
    name: "",
    track,
    level: () => (track.enabled ? meter.read() : 0),
    play: () => undefined,
    pause: () => {
      track.enabled = false;
    },
    resume: () => {
      track.enabled = true;
    },
    stop: () => {
      track.onended = null;
      track.stop();
      void context.close();
    },
  };
}

function faultOf(error: unknown): MicrophoneFault {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "absent";
  // NotReadableError, AbortError: the device is there, but another app or the system holds it.
  return "busy";
}
