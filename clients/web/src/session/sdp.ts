/** What offers and answers say about Opus and ICE. Pure text in, text out. */

import type { Profile } from "./protocol";

/** The longest packet that Opus has. */
const MAX_PTIME_MS = 120;

/**
 * Tell the receiver of this offer what will be sent: one channel of speech, wide band, with repair data, and
 * next to nothing during silence. The sender's own settings come back in the answer, which the server writes.
 */
const OFFERED: Readonly<Record<string, string>> = {
  stereo: "0",
  "sprop-stereo": "0",
  "sprop-maxcapturerate": "16000",
  maxplaybackrate: "16000",
  useinbandfec: "1",
  usedtx: "1",
};

/** The offer with Opus declared as mono speech. An offer without Opus comes back as it is. */
export function declareMonoSpeech(sdp: string): string {
  const payloadType = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1];
  if (!payloadType) return sdp;
  const prefix = `a=fmtp:${payloadType} `;
  const lines = sdp.split("\r\n");
  const at = lines.findIndex((line) => line.startsWith(prefix));
  if (at < 0) {
    const rtpmap = lines.findIndex((line) => line.startsWith(`a=rtpmap:${payloadType} `));
    lines.splice(rtpmap + 1, 0, prefix + joined(new Map(Object.entries(OFFERED))));
    return lines.join("\r\n");
  }
  const parameters = new Map<string, string>();
  for (const part of (lines[at] ?? "").slice(prefix.length).split(";")) {
    const [name = "", value = ""] = part.trim().split("=");
    if (name) parameters.set(name, value);
  }
  for (const [name, value] of Object.entries(OFFERED)) parameters.set(name, value);
  lines[at] = prefix + joined(parameters);
  return lines.join("\r\n");
}

function joined(parameters: Map<string, string>): string {
  return [...parameters].map(([name, value]) => (value ? `${name}=${value}` : name)).join(";");
}

/** The offer with "send again what I ask for" of the audio; browsers do so if it stands in both descriptions. */
export function declareNack(sdp: string): string {
  const payloadType = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1];
  if (!payloadType || new RegExp(`^a=rtcp-fb:${payloadType} nack\\s*$`, "m").test(sdp)) return sdp;
  return sdp.replace(/^a=rtpmap:\d+ opus\/48000.*(\r?\n)/im, `$&a=rtcp-fb:${payloadType} nack$1`);
}

/** The answer with these figures for what is to be sent: bitrate and packet time. */
export function withProfile(answer: string, profile: Pick<Profile, "max_bitrate" | "ptime_ms">): string {
  const payloadType = /^a=rtpmap:(\d+) opus\/48000/im.exec(answer)?.[1];
  if (!payloadType) return answer;
  const prefix = `a=fmtp:${payloadType} `;
  const others = answer.split(/\r?\n/).filter((line) => line && !/^a=(?:max)?ptime:/.test(line));
  const parameters = new Map<string, string>();
  for (const part of (others.find((line) => line.startsWith(prefix)) ?? "").slice(prefix.length).split(";")) {
    const [name = "", value = ""] = part.trim().split("=");
    if (name) parameters.set(name, value);
  }
  parameters.set("maxaveragebitrate", String(profile.max_bitrate));
  const written: string[] = [];
  for (const line of others.filter((each) => !each.startsWith(prefix))) {
    written.push(line);
    if (line.startsWith(`a=rtpmap:${payloadType} `))
      written.push(
        prefix + joined(parameters),
        `a=ptime:${profile.ptime_ms}`,
        `a=maxptime:${Math.max(profile.ptime_ms, MAX_PTIME_MS)}`,
      );
  }
  return `${written.join("\r\n")}\r\n`;
}

const lines = (sdp: string, ...prefixes: string[]): string[] =>
  sdp.split(/\r?\n/).filter((line) => prefixes.some((prefix) => line.startsWith(prefix)));

/** What a new local description says about ICE, as RFC 8840 has it: credentials, and the candidates known so far. */
export function iceFragment(sdp: string): string {
  const media = sdp.slice(sdp.indexOf("m=audio"));
  const picked = [
    ...lines(sdp, "a=group:BUNDLE"),
    ...lines(media, "m=audio").slice(0, 1),
    ...lines(media, "a=mid:").slice(0, 1),
    ...lines(sdp, "a=ice-ufrag:").slice(0, 1),
    ...lines(sdp, "a=ice-pwd:").slice(0, 1),
    ...lines(media, "a=candidate:", "a=end-of-candidates"),
  ];
  return `${picked.join("\r\n")}\r\n`;
}

/** The answer with the ICE credentials and candidates of a fragment in place of its own. */
export function withIceOf(fragment: string, answer: string): string {
  const kept = answer
    .split(/\r?\n/)
    .filter((line) => line && !/^a=(candidate:|end-of-candidates)/.test(line));
  const replaced = kept.map((line) => {
    const name = /^a=ice-(?:ufrag|pwd):/.exec(line)?.[0];
    return (name && lines(fragment, name)[0]) || line;
  });
  return `${[...replaced, ...lines(fragment, "a=candidate:", "a=end-of-candidates")].join("\r\n")}\r\n`;
}
