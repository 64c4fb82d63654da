import { expect, it } from "vitest";
import { declareMonoSpeech, declareNack, iceFragment, withIceOf, withProfile } from "../../src/session/sdp";

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

it("takes the new credentials from an offer, and puts the server's into the last answer", () => {
  const local = offer(
    "a=mid:0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:secret",
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
  );
  expect(iceFragment(`a=group:BUNDLE 0\r\n${local}`).split("\r\n")).toEqual([
    "a=group:BUNDLE 0",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    "a=mid:0",
    "a=ice-ufrag:abcd",
    "a=ice-pwd:secret",
    "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
    "",
  ]);
  const answer = offer(
    "a=ice-ufrag:old",
    "a=ice-pwd:old",
    "a=candidate:1 1 udp 1 192.0.2.2 9 typ host",
    "a=x",
  );
  const fragment = "a=ice-ufrag:new\r\na=ice-pwd:newer\r\na=candidate:2 1 udp 1 192.0.2.3 9 typ host\r\n";
  const renewed = withIceOf(fragment, answer);
  expect(renewed).toContain("a=ice-ufrag:new\r\na=ice-pwd:newer\r\na=x\r\n");
  expect(renewed).not.toContain("192.0.2.2");
  expect(renewed).toContain("192.0.2.3");
  expect(withIceOf("", answer)).toContain("a=ice-ufrag:old");
});

it("asks for lost packets to be sent again, once", () => {
  const sdp = declareNack(offer("a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc"));
  expect(sdp).toContain("a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\na=rtcp-fb:111 transport-cc\r\n");
  expect(declareNack(sdp)).toBe(sdp);
  expect(declareNack(offer("a=rtpmap:0 PCMU/8000"))).not.toContain("nack");
});

it("puts a profile into the answer in place of what it says", () => {
  const answer = offer(
    "a=rtpmap:111 opus/48000/2",
    "a=fmtp:111 maxplaybackrate=16000;maxaveragebitrate=16000;usedtx=1; ",
    "a=ptime:40",
    "a=maxptime:120",
  );
  const sdp = withProfile(answer, { max_bitrate: 10_000, ptime_ms: 120 });
  expect(sdp).toContain(
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 maxplaybackrate=16000;maxaveragebitrate=10000;usedtx=1\r\na=ptime:120\r\na=maxptime:120\r\na=sendonly\r\n",
  );
  expect(sdp.match(/ptime/g)).toHaveLength(2);
  expect(withProfile(sdp, { max_bitrate: 10_000, ptime_ms: 120 })).toBe(sdp);
  expect(withProfile(offer("a=rtpmap:111 opus/48000/2"), { max_bitrate: 6_000, ptime_ms: 20 })).toContain(
    "a=fmtp:111 maxaveragebitrate=6000\r\na=ptime:20\r\n",
  );
  expect(withProfile("v=0\r\n", { max_bitrate: 6_000, ptime_ms: 20 })).toBe("v=0\r\n");
});
