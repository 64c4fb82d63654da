import type { Stage } from "../session/protocol";
import { Check, Circle } from "./icons";
import { text } from "./text";

interface Props {
  stages: Stage[];
  ticked: string[];
  /** Given where the steps are ticked by hand. */
  onTick: ((stage: string, done: boolean) => void) | null;
}

/** The steps of the visit: they tick off by themselves, or by hand when nothing is listened to. */
export function Checklist({ stages, ticked, onTick }: Props) {
  const isDone = (stage: Stage) => stage.done || ticked.includes(stage.id);
  const done = stages.filter(isDone).length;
  return (
    <section class="checklist" data-testid="checklist" aria-label={text.visit.steps(done, stages.length)}>
      {stages.length === 0 ? (
        <p class="hint">{text.visit.noStepsYet}</p>
      ) : (
        <>
          <div class="steps-head">
            <span>{text.visit.steps(done, stages.length)}</span>
            <progress value={done} max={stages.length} aria-hidden="true" />
          </div>
          <ul class="steps">
            {stages.map((stage) => (
              <li
                key={stage.id}
                class="step"
                data-testid={`stage-${stage.id}`}
                data-done={String(isDone(stage))}
              >
                {onTick ? (
                  <button
                    type="button"
                    aria-pressed={isDone(stage)}
                    onClick={() => onTick(stage.id, !isDone(stage))}
                  >
                    {isDone(stage) ? <Check /> : <Circle />}
                    {stage.title}
                  </button>
                ) : (
                  <>
                    {isDone(stage) ? <Check /> : <Circle />}
                    <span class="step-title">{stage.title}</span>
                    <span class="unseen"> {isDone(stage) ? text.visit.stepDone : text.visit.stepOpen}</span>
                  </>
                )}
              </li>
            ))}
          </ul>
          {onTick && <p class="hint">{text.visit.tickHint}</p>}
        </>
      )}
    </section>
  );
}
