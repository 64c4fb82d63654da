/** Errors of the session kit as something to show. */

import { AudioFileError } from "./session/audio_file";
import { MicrophoneError } from "./session/microphone";
import { RequestError } from "./session/problem";
import type { Trouble } from "./state/view";

export function troubleOf(error: unknown): Trouble {
  if (error instanceof RequestError) return { kind: "request", problem: error.problem };
  if (error instanceof MicrophoneError) return { kind: "microphone", fault: error.fault };
  if (error instanceof AudioFileError) return { kind: "file", fault: error.fault };
  // A fault of this page or of the browser: shown, and left in the console for who can mend it.
  console.error(error);
  return { kind: "fault" };
}
