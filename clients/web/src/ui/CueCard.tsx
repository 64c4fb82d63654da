import { useEffect, useRef } from "preact/hooks";
import type { ShownCue } from "../state/view";
import { Check } from "./icons";
import { text } from "./text";

interface Props {
  cue: ShownCue;
  onShown: (cueId: string) => void;
  onClose: (cueId: string, action: "acted" | "dismissed") => void;
}

/** A quarter of a small phone's width: further than a tap trembles, nearer than a thumb reaches. */
const SWIPE_PX = 90;

/** Movement below this is still a tap. */
const TAP_PX = 8;

/** One line to say. A tap means done, a swipe or the button takes it away, and it fades when its time is over. */
export function CueCard({ cue, onShown, onClose }: Props) {
  const card = useRef<HTMLElement>(null);
  const drag = useRef<{ x: number; moved: number } | null>(null);
  const { cue_id: id, title, text: line, severity } = cue.event;

  useEffect(() => {
    card.current?.style.setProperty("--life", `${Math.round(cue.expiresAt - cue.shownAt)}ms`);
  }, [cue]);

  // Once per cue, whoever the listener is by then.
  useEffect(() => {
    // After the frame in which it was drawn; a hidden tab draws none, and has shown nothing.
    const frame = requestAnimationFrame(() => onShown(id));
    return () => cancelAnimationFrame(frame);
  }, [id]);

  const move = (px: number) => card.current?.style.setProperty("--drag", `${px}px`);
  return (
    <article
      class={`cue ${severity}`}
      data-testid="cue"
      data-cue={cue.event.cue}
      ref={card}
      onPointerDown={(event) => {
        drag.current = { x: event.clientX, moved: 0 };
      }}
      onPointerMove={(event) => {
        if (!drag.current || event.buttons === 0) return;
        drag.current.moved = event.clientX - drag.current.x;
        if (Math.abs(drag.current.moved) > TAP_PX) {
          event.currentTarget.setPointerCapture(event.pointerId);
          move(drag.current.moved);
        }
      }}
      onPointerUp={() => {
        const moved = drag.current?.moved ?? 0;
        if (Math.abs(moved) > SWIPE_PX) onClose(id, "dismissed");
        else move(0);
      }}
      onPointerCancel={() => {
        drag.current = null;
        move(0);
      }}
    >
      {/* biome-ignore lint/a11y/noStaticElementInteractions lint/a11y/useKeyWithClickEvents: a shortcut of the button below */}
      <div
        class="cue-words"
        onClick={() => {
          if (Math.abs(drag.current?.moved ?? 0) <= TAP_PX) onClose(id, "acted");
        }}
      >
        <h2>{title || text.visit.cue}</h2>
        <p data-testid="cue-text">{line}</p>
      </div>
      <div class="cue-actions">
        <button type="button" class="cue-done" data-testid="cue-acted" onClick={() => onClose(id, "acted")}>
          <Check />
          {text.visit.done}
        </button>
        <button
          type="button"
          class="cue-dismiss"
          data-testid="cue-dismiss"
          onClick={() => onClose(id, "dismissed")}
        >
          {text.visit.dismiss}
        </button>
      </div>
      <span class="cue-life" aria-hidden="true" />
    </article>
  );
}
