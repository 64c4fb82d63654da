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
