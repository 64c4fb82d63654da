import { useState } from "preact/hooks";
import type { App } from "../app";
import type { ViewState } from "../state/view";
import { FileChoice } from "./FileChoice";
import { Cross, Sound } from "./icons";
import { noticeOf } from "./notice";
import { TokenForm } from "./TokenForm";
import { NoticeBox } from "./Trouble";
import { text } from "./text";

export function StartScreen({ app, state }: { app: App; state: ViewState }) {
  const [agreed, setAgreed] = useState(false);
  const [file, setFile] = useState<File | null>(null);
  const { start } = text;
  const { busy } = state;
  const action = !agreed ? start.checklist : file ? start.playFile : start.listen;
  return (
    <main class="start">
      <header class="brand">
        <img src="/icon.svg" alt="" width="40" height="40" />
        <span>{text.name}</span>
      </header>
      {/* What stands in the way comes before what is already known. */}
      {(!state.trouble || state.needsToken) && (
        <>
          <h1>{start.headline}</h1>
          <p class="lead">{start.promise}</p>
        </>
      )}
      {!state.needsToken && (
        <section class="card consent" aria-labelledby="ask">
          <h2 id="ask">{start.ask}</h2>
          <blockquote>{start.sentence}</blockquote>
          <label class="check">
            <input
              type="checkbox"
              data-testid="consent"
              checked={agreed}
              aria-describedby="without"
              onChange={({ currentTarget }) => setAgreed(currentTarget.checked)}
            />
            <span>{start.agrees}</span>
          </label>
          <p class="hint" id="without">
            {start.without}
          </p>
        </section>
      )}
      <div class="launch">
        {state.trouble && <NoticeBox notice={noticeOf(state.trouble)} />}
        {state.needsToken ? (
          <TokenForm onToken={(token) => app.useToken(token)} />
        ) : (
          <>
            <button
              type="button"
              class={agreed ? "primary" : "primary outlined"}
              data-testid="start"
              aria-busy={busy !== null}
              disabled={busy !== null}
              onClick={() => void app.start(agreed, file)}
            >
              {busy ? start.busy[busy] : action}
            </button>
            {file ? (
              <div class="chosen">
                <Sound />
                <span class="chosen-name">
                  {file.name}
                  {!agreed && <small>{start.fileNeedsYes}</small>}
                </span>
                <button
                  type="button"
                  class="icon-button"
                  aria-label={`${text.close}: ${file.name}`}
                  onClick={() => setFile(null)}
                >
                  <Cross />
                </button>
              </div>
            ) : (
              <FileChoice
                label={start.orFile}
                onChoose={(chosen) => {
                  setFile(chosen);
                  app.dismissTrouble();
                }}
              />
            )}
          </>
        )}
      </div>
      <p class="fine" data-testid="asr-note">
        {start.recogniser}
      </p>
    </main>
  );
}
