/** What went wrong, in the words for the screen. */

import type { Problem } from "../session/problem";
import type { Trouble } from "../state/view";
import { type Notice, text } from "./text";

export function noticeOf(trouble: Trouble): Notice {
  switch (trouble.kind) {
    case "microphone":
      return text.microphone[trouble.fault];
    case "file":
      return text.file[trouble.fault];
    case "fault":
      return text.fault;
    case "request":
      return noticeOfProblem(trouble.problem);
  }
}

/** The server's own words where it has some; they know more than ours. */
export function noticeOfProblem(problem: Problem): Notice {
  const ours = text.problems[problem.word] ?? text.serverFault(problem.status);
  const wait = problem.retryAfterS === null ? "" : text.tryAgainIn(problem.retryAfterS);
  return {
    title: problem.title || ours.title,
    detail: problem.detail || ours.detail,
    fix: [problem.fix || (wait ? "" : ours.fix), wait].filter(Boolean).join(" "),
  };
}
