/** What the offer says about Opus. Pure text in, text out. */

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
