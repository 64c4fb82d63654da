/** A track as Opus packets, made in the page: for the audio socket, which has no peer connection to encode for it. */

import workletUrl from "./capture_worklet?worker&url";
import { type EncoderWiring, OpusEncoder } from "./opus_encoder";
import type { Profile } from "./protocol";
import { FrameCutter, SAMPLE_RATE, SilenceGate } from "./sound_frames";

export interface PacketSource {
  follow(profile: Profile): Promise<void>;
  close(): void;
}

/** Begin to encode. The track stays another's: it is not stopped with this. */
export async function captureOpus(
  track: MediaStreamTrack,
  profile: Profile,
  wiring: EncoderWiring,
): Promise<PacketSource> {
  const context = new AudioContext({ sampleRate: SAMPLE_RATE });
  const encoder = new OpusEncoder(profile, wiring);
  try {
    await context.audioWorklet.addModule(workletUrl);
  } catch (error) {
    encoder.close();
    void context.close();
    throw error;
  }
  const cutter = new FrameCutter(profile.ptime_ms, Math.round(performance.now() * (SAMPLE_RATE / 1000)));
  const gate = new SilenceGate();
  let isDtx = profile.dtx;
  const input = context.createMediaStreamSource(new MediaStream([track]));
  const capture = new AudioWorkletNode(context, "capture", {
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: "explicit",
  });
  capture.port.onmessage = ({ data }: MessageEvent<Float32Array>) => {
    for (const frame of cutter.add(data)) if (gate.passes(frame.samples, isDtx)) encoder.encode(frame);
  };
  input.connect(capture);
  void context.resume();
  // One after another: the frames that wait for an encoder have the length that it was made for.
  let changes = Promise.resolve();
  return {
    follow: (wanted) => {
      changes = changes.then(() => {
        cutter.packetTime = wanted.ptime_ms;
        isDtx = wanted.dtx;
        return encoder.follow(wanted);
      });
      return changes;
    },
    close: () => {
      capture.port.onmessage = null;
      input.disconnect();
      encoder.close();
      void context.close();
    },
  };
}
