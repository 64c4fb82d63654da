import { useEffect, useRef, useState } from "preact/hooks";
import type { Visit } from "../state/view";
import { Microphone, MicrophoneOff, Sound } from "./icons";
import { text } from "./text";
import { clockTime, dataSize, networkKey, sourceKey, stateKey } from "./words";

export function StatusBar({ visit, level }: { visit: Visit; level: () => number }) {
  const state = stateKey(visit);
  const source = sourceKey(visit);
  const hears = source === "on" || source === "file";
  return (
    <header class="status">
      <div class="status-line">
        <span class="state" role="status" data-testid="state" data-state={state}>
          <span class="dot" />
          {text.state[state]}
        </span>
        <Timer startedAt={visit.startedAt} running={!visit.ending} />
      </div>
      <div class="source" data-testid="mic-state" data-state={source}>
        {visit.source?.kind === "file" ? <Sound /> : hears ? <Microphone /> : <MicrophoneOff />}
        <span class="source-name">
          {source === "file" && visit.source?.name ? visit.source.name : text.source[source]}
        </span>
        {hears && <Level level={level} />}
        <Network visit={visit} />
      </div>
      {visit.remembers === false && (
        <p class="forgets" data-testid="forgets">
          {text.forgets}
        </p>
      )}
    </header>
  );
}

/** How well the sound gets through, and what it costs: small, at the end of the line. */
function Network({ visit }: { visit: Visit }) {
  const key = networkKey(visit);
  if (key === null) return null;
  return (
    <span class="network" data-testid="network" data-state={key}>
      {text.network[key]}
      {visit.path !== null && (
        <span class="path" data-testid="path" data-state={visit.path}>
          {text.path[visit.path]}
        </span>
      )}
      {visit.dataUsed > 0 && (
        <span class="data" title={text.dataUsed} data-testid="data-used">
          <span class="unseen">{text.dataUsed}: </span>
          {dataSize(visit.dataUsed)}
        </span>
      )}
    </span>
  );
}

function Timer({ startedAt, running }: { startedAt: number; running: boolean }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [running]);
  return (
    <span class="timer" role="timer" aria-live="off">
      <span class="unseen">{text.visit.time} </span>
      {clockTime((now - startedAt) / 1000)}
    </span>
  );
}

/** Often enough to follow a syllable; a bar that jumps 4 times a second where motion is unwelcome. */
const METER_INTERVAL_MS = 66;
const CALM_INTERVAL_MS = 250;

/** Drawn past the component tree: the level changes 15 times a second and nothing else depends on it. */
function Level({ level }: { level: () => number }) {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const draw = () => bar.current?.style.setProperty("--level", level().toFixed(2));
    const timer = setInterval(draw, calm ? CALM_INTERVAL_MS : METER_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [level]);
  return <span class="level" ref={bar} aria-hidden="true" />;
}
