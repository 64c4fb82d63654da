import { useEffect, useRef } from "preact/hooks";
import type { Summary } from "../session/protocol";
import type { Visit } from "../state/view";
import { Check, Circle } from "./icons";
import { text } from "./text";
import { readable } from "./words";

/** A ring whose length is 100 units, so that the score is its dash. */
const RING_RADIUS = 100 / (2 * Math.PI);

export function SummaryScreen(props: { visit: Visit; summary: Summary; onNew: () => void }) {
  const { visit, summary } = props;
  const title = useRef<HTMLHeadingElement>(null);
  // The screen has changed under a reader: begin at its top.
  useEffect(() => title.current?.focus(), []);
  const t = text.summary;
  return (
    <main class="summary" data-testid="summary">
      <header class="summary-head">
        <h1 tabIndex={-1} ref={title}>
          {t.title}
        </h1>
      </header>
      {visit.listening ? <Heard summary={summary} /> : <ByHand visit={visit} />}
      <div class="launch">
        <button type="button" class="primary" data-testid="new-visit" onClick={props.onNew}>
          {t.newVisit}
        </button>
      </div>
    </main>
  );
}

function Heard({ summary }: { summary: Summary }) {
  const t = text.summary;
  const seconds = Math.round(summary.duration_s);
  return (
    <>
      <section class="card result">
        <Score score={summary.score} />
        <ul class="facts">
          <li>{text.visit.steps(summary.stages.length, summary.checklist.length)}</li>
          <li>{t.orderCount(summary.orders.length)}</li>
          <li>{t.objectionCount(summary.objections.length)}</li>
          <li>{t.lasted(Math.floor(seconds / 60), seconds % 60)}</li>
        </ul>
        {/* The rules' text says in a sentence what stands on this page anyway. */}
        {summary.source === "llm" && summary.text && <p class="told">{summary.text}</p>}
      </section>
      <section class="card">
        <h2>{t.order}</h2>
        {summary.orders.length === 0 ? (
          <p class="hint" data-testid="orders">
            {t.noOrder}
          </p>
        ) : (
          <ul class="orders" data-testid="orders">
            {summary.orders.map((line) => (
              <li key={`${line.sku} ${line.unit}`} data-testid="order-line">
                <span class="quantity">
                  <b>{line.qty}</b> {line.unit}
                </span>{" "}
                <span class="sku">{line.sku}</span>
              </li>
            ))}
          </ul>
        )}
      </section>
      {summary.tips.length > 0 && (
        <section class="card tips">
          <h2>{t.tips}</h2>
          <ul>
            {summary.tips.map((tip) => (
              <li key={tip}>{tip}</li>
            ))}
          </ul>
        </section>
      )}
      <section class="card">
        <h2>{t.objections}</h2>
        {summary.objections.length === 0 ? (
          <p class="hint">{t.noObjections}</p>
        ) : (
          <ul class="pills" data-testid="objections">
            {summary.objections.map((id) => (
              <li key={id}>{readable(id)}</li>
            ))}
          </ul>
        )}
      </section>
      <Steps
        stages={summary.checklist.map((stage) => ({ ...stage, done: summary.stages.includes(stage.id) }))}
      />
      <p class="fine">{summary.source === "llm" ? t.byLlm : t.byRules}</p>
    </>
  );
}

function Score({ score }: { score: number }) {
  const whole = Math.round(score);
  return (
    <div class="score">
      <svg viewBox="0 0 40 40" aria-hidden="true">
        <circle class="track" cx="20" cy="20" r={RING_RADIUS} />
        <circle class="value" cx="20" cy="20" r={RING_RADIUS} stroke-dasharray={`${whole} 100`} />
      </svg>
      <p>
        <span class="unseen">{text.summary.score} </span>
        <b data-testid="score">{whole}</b>
        <span>{text.summary.outOf}</span>
      </p>
    </div>
  );
}

function ByHand({ visit }: { visit: Visit }) {
  return (
    <>
      <section class="card">
        <h2>{text.summary.checklistOnly}</h2>
        <p>{text.summary.checklistOnlyDetail}</p>
      </section>
      <Steps stages={visit.stages.map((stage) => ({ ...stage, done: visit.ticked.includes(stage.id) }))} />
    </>
  );
}

function Steps({ stages }: { stages: Visit["stages"] }) {
  const done = stages.filter((stage) => stage.done).length;
  return (
    <section class="card">
      <h2>
        {text.summary.steps} <span class="count">{text.visit.steps(done, stages.length)}</span>
      </h2>
      <ul class="steps list">
        {stages.map((stage) => (
          <li key={stage.id} class="step" data-testid={`stage-${stage.id}`} data-done={String(stage.done)}>
            {stage.done ? <Check /> : <Circle />}
            {stage.title}
            <span class="unseen"> {stage.done ? text.visit.stepDone : text.visit.stepOpen}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
