import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { FinalEvent, GapEvent, PartialEvent, Recogniser } from "../session/protocol";
import { text } from "./text";
import { transcriptLines } from "./words";

interface Props {
  finals: FinalEvent[];
  gaps: GapEvent[];
  partial: PartialEvent | null;
  recogniser: Recogniser;
  consentText: string;
}

/** About two lines: who has scrolled further up than that is reading, and must not be pulled away. */
const AT_BOTTOM_PX = 56;

export function Transcript({ finals, gaps, partial, recogniser, consentText }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const lines = useMemo(
    () =>
      transcriptLines(finals, gaps).map((line) =>
        line.kind === "final" ? (
          <Final key={line.final.id} final={line.final} />
        ) : (
          <p key={line.gap.id} class="lost-sound">
            {text.visit.lostSound(line.gap.duration)}
          </p>
        ),
      ),
    [finals, gaps],
  );
  const isEmpty = lines.length === 0 && partial === null;
  const toBottom = () => {
    const element = box.current;
    if (element) element.scrollTop = element.scrollHeight;
  };
  // The text's growth is what moves the end.
  useEffect(() => {
    if (follows) toBottom();
  }, [lines, partial, follows]);
  useEffect(() => {
    const element = box.current;
    if (!element || !follows) return;
    // A cue card that appears takes space away from below.
    const observer = new ResizeObserver(toBottom);
    observer.observe(element);
    return () => observer.disconnect();
  }, [follows]);
  return (
    <section class="transcript-area" aria-label={text.visit.transcript}>
      {/* Whole until the first words need the room; its first line stays. */}
      <details class="about" data-testid="asr-note" open={isEmpty}>
        <summary>{text.recogniserName(recogniser)}</summary>
        <p>{text.recogniser(recogniser)}</p>
        {consentText && (
          <p>
            {text.visit.consent} {consentText}
          </p>
        )}
      </details>
      <div
        class="transcript"
        data-testid="transcript"
        role="log"
        aria-live="off"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard.
        tabIndex={0}
        ref={box}
        onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) =>
          setFollows(scrollHeight - scrollTop - clientHeight < AT_BOTTOM_PX)
        }
      >
        {isEmpty && <p class="empty">{text.visit.hearsNothing}</p>}
        {lines}
        {partial && (
          <p class="line open" data-testid="partial">
            <span class="committed">{partial.committed}</span>{" "}
            <span class="tentative">{partial.tentative}</span>
          </p>
        )}
      </div>
      {!follows && (
        <button type="button" class="newest" onClick={() => setFollows(true)}>
          {text.visit.newest} ↓
        </button>
      )}
    </section>
  );
}

function Final({ final }: { final: FinalEvent }) {
  const speaker = text.visit.speaker[final.speaker];
  return (
    <p class={final.low_confidence ? "line unsure" : "line"} data-testid="final" lang={final.language}>
      {speaker && <span class="speaker">{speaker}</span>}
      {final.text}
    </p>
  );
}
