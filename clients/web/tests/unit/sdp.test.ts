import { expect, it } from "vitest";
import { declareMonoSpeech } from "../../src/session/sdp";

const offer = (...lines: string[]) =>
  ["v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", ...lines, "a=sendonly", ""].join("\r\n");
const DECLARED =
  "stereo=0;sprop-stereo=0;sprop-maxcapturerate=16000;maxplaybackrate=16000;useinbandfec=1;usedtx=1";

it("adds to Opus' parameters and keeps the browser's own", () => {
  const sdp = declareMonoSpeech(offer("a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"));
  expect(sdp).toContain(
    "a=fmtp:111 minptime=10;useinbandfec=1;stereo=0;sprop-stereo=0;sprop-maxcapturerate=16000;maxplaybackrate=16000;usedtx=1\r\n",
  );
});

it("makes the line where there is none, and keeps a parameter without a value", () => {
  expect(declareMonoSpeech(offer("a=rtpmap:96 opus/48000/2"))).toContain(
    `a=rtpmap:96 opus/48000/2\r\na=fmtp:96 ${DECLARED}\r\n`,
  );
  expect(declareMonoSpeech(offer("a=rtpmap:96 opus/48000/2", "a=fmtp:96 odd; ;stereo=1"))).toContain(
    "a=fmtp:96 odd;stereo=0;",
  );
});

it("leaves an offer without Opus alone", () => {
  const sdp = offer("a=rtpmap:0 PCMU/8000");
  expect(declareMonoSpeech(sdp)).toBe(sdp);
});
