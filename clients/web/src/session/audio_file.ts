/** A file played into the visit as if it were the microphone: to try things out, or where there is none. */

import { type AudioSource, LevelMeter, type SourceEvents } from "./source";

export type FileFault = "unreadable" | "too-large";

export class AudioFileError extends Error {
  constructor(readonly fault: FileFault) {
    super(`audio file ${fault}`);
    this.name = "AudioFileError";
  }
}

/** Decoded at 48 kHz a file is held in memory whole: 100 MB of FLAC speech would be an hour and a half, 1 GB. */
export const FILE_MAX_BYTES = 40 * 1024 * 1024;

/** Decode a file; it starts to sound with `play`. @throws AudioFileError */
export async function openAudioFile(file: File, events: SourceEvents): Promise<AudioSource> {
  if (file.size > FILE_MAX_BYTES) throw new AudioFileError("too-large");
  const context = new AudioContext();
  let buffer: AudioBuffer;
  try {
    buffer = await context.decodeAudioData(await file.arrayBuffer());
  } catch {
    void context.close();
    throw new AudioFileError("unreadable");
  }
  const output = new MediaStreamAudioDestinationNode(context, {
    channelCount: 1,
    channelCountMode: "explicit",
  });
  const player = new AudioBufferSourceNode(context, { buffer });
  player.connect(output);
  // Without an input the output gives no samples at all, and the server would take the phone for lost: silence
  // before the file and after it is what a microphone in a quiet room sends, and it settles the last words.
  const silence = new ConstantSourceNode(context, { offset: 0 });
  silence.connect(output);
  silence.start();
  const meter = new LevelMeter(context, player);
  player.onended = events.onEnded;
  const track = output.stream.getAudioTracks()[0];
  if (!track) throw new AudioFileError("unreadable");
  track.contentHint = "speech";
  void context.resume();
  // Starting twice throws, and a peer connection that was lost and came back would do so.
  let playing = false;
  return {
    kind: "file",
    name: file.name,
    track,
    level: () => (playing ? meter.read() : 0),
    play: () => {
      if (playing) return;
      playing = true;
      player.start();
    },
    // The file waits with the visit, so that no line of it is lost to the pause.
    pause: () => {
      track.enabled = false;
      player.playbackRate.value = 0;
    },
    resume: () => {
      track.enabled = true;
      player.playbackRate.value = 1;
    },
    stop: () => {
      player.onended = null;
      track.stop();
      void context.close();
    },
  };
}
