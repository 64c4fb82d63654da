import { useCallback } from "preact/hooks";
import type { App } from "../app";
import type { Trouble, Visit } from "../state/view";
import { Checklist } from "./Checklist";
import { CueCard } from "./CueCard";
import { FileChoice } from "./FileChoice";
import { Pause, Play, Stop } from "./icons";
import { noticeOf } from "./notice";
import { StatusBar } from "./StatusBar";
import { Transcript } from "./Transcript";
import { NoticeBox } from "./Trouble";
import { text } from "./text";

export function VisitScreen({ app, visit, trouble }: { app: App; visit: Visit; trouble: Trouble | null }) {
  const level = useCallback(() => app.live?.level() ?? 0, [app]);
  const running = !visit.ending && visit.halted === null;
  const banner = running ? bannerText(visit) : null;
  return (
    <main class={visit.listening ? "visit" : "visit checklist-only"} data-testid="visit">
      <StatusBar visit={visit} level={level} />
      <div class="messages">
        {banner && (
          <p class="banner" role="status" data-testid="banner">
            {banner}
          </p>
        )}
        {trouble && <NoticeBox notice={noticeOf(trouble)} onClose={() => app.dismissTrouble()} />}
        {visit.halted && visit.halted !== "ended" && <Halted app={app} why={visit.halted} />}
      </div>
      <Checklist
        stages={visit.stages}
        ticked={visit.ticked}
        onTick={visit.listening ? null : (stage, done) => app.live?.tick(stage, done)}
      />
      {visit.listening && (
        <Transcript
          finals={visit.finals}
          gaps={visit.gaps}
          partial={visit.partial}
          recogniser={visit.recogniser}
          consentText={visit.consentText}
        />
      )}
      <div class="foot">
        <div class="announced" aria-live="assertive">
          {visit.cue && (
            <CueCard
              key={visit.cue.event.cue_id}
              cue={visit.cue}
              onShown={(id) => app.live?.cues.shown(id)}
              onClose={(id, action) => app.live?.cues.close(id, action)}
            />
          )}
        </div>
        {running && <ContinuePanel app={app} visit={visit} />}
        <Controls app={app} visit={visit} running={running} failed={trouble !== null} />
      </div>
    </main>
  );
}

function bannerText(visit: Visit): string | null {
  if (visit.link === "lost") return text.banner.lost;
  if (!visit.listening) return null;
  if (visit.audio === "blocked") return text.banner.blocked(visit);
  if (visit.audio === "lost") return text.banner.audioLost;
  if (visit.sourceState === "muted") return text.banner.muted;
  if (visit.degraded !== null) return text.banner.degraded;
  if (visit.sourceState === "finished") return text.banner.finished;
  return null;
}

function Halted({ app, why }: { app: App; why: NonNullable<Visit["halted"]> }) {
  return (
    <NoticeBox notice={text.halted[why]}>
      {why === "replaced" ? (
        <button type="button" class="secondary" onClick={() => app.live?.takeOver()}>
          {text.useHere}
        </button>
      ) : (
        <button type="button" class="secondary" data-testid="new-visit" onClick={() => app.newVisit()}>
          {text.summary.newVisit}
        </button>
      )}
    </NoticeBox>
  );
}

/** Listening has stopped though the visit is open: one tap goes on. */
function ContinuePanel({ app, visit }: { app: App; visit: Visit }) {
  const { sourceState } = visit;
  if (!visit.listening || (sourceState !== "off" && sourceState !== "lost")) return null;
  const wasFile = visit.source?.kind === "file";
  const why = sourceState === "lost" ? "lost" : visit.restored ? "reloaded" : "off";
  return (
    <section class="continue">
      <p>{text.continue[why]}</p>
      <button type="button" class="primary" data-testid="continue" onClick={() => void app.listenAgain(null)}>
        {text.continue.listen}
      </button>
      <FileChoice
        label={wasFile ? text.continue.file : text.continue.orFile}
        onChoose={(file) => void app.listenAgain(file)}
      />
    </section>
  );
}

function Controls(props: { app: App; visit: Visit; running: boolean; failed: boolean }) {
  const { app, visit, running } = props;
  if (visit.halted && visit.halted !== "ended") return null;
  if (!running && props.failed)
    return (
      <button type="button" class="primary" data-testid="new-visit" onClick={() => app.newVisit()}>
        {text.summary.newVisit}
      </button>
    );
  if (!running)
    return (
      <p class="making" role="status" data-testid="closing">
        {visit.filling ? text.visit.filling : text.visit.makingSummary}
      </p>
    );
  const hears = visit.listening && !["off", "lost", "finished"].includes(visit.sourceState);
  return (
    <div class="controls">
      {hears && (
        <button
          type="button"
          class="secondary"
          data-testid="pause"
          aria-pressed={visit.paused}
          onClick={() => app.live?.setPaused(!visit.paused)}
        >
          {visit.paused ? <Play /> : <Pause />}
          {visit.paused ? text.visit.resume : text.visit.pause}
        </button>
      )}
      <button type="button" class="secondary end" data-testid="end" onClick={() => void app.live?.end()}>
        <Stop />
        {text.visit.end}
      </button>
    </div>
  );
}
