import type { ComponentChildren } from "preact";
import { Alert, Cross } from "./icons";
import { type Notice, text } from "./text";

/** Something that stands in the way: what, why, and what to do. */
export function NoticeBox(props: { notice: Notice; onClose?: () => void; children?: ComponentChildren }) {
  const { title, detail, fix } = props.notice;
  return (
    <div class="notice" role="alert" data-testid="error">
      <Alert />
      <div class="notice-body">
        <strong>{title}</strong>
        {detail && <p>{detail}</p>}
        {fix && <p class="notice-fix">{fix}</p>}
        {props.children}
      </div>
      {props.onClose && (
        <button type="button" class="icon-button" aria-label={text.close} onClick={props.onClose}>
          <Cross />
        </button>
      )}
    </div>
  );
}
