/** Everything that browsers decode; the extensions because some phones give audio files no type. */
const ACCEPTED = "audio/*,.wav,.flac,.mp3,.m4a,.ogg,.opus,.webm";

/** A link-like label over a file input, so that the whole line is the target. */
export function FileChoice(props: { label: string; onChoose: (file: File) => void }) {
  return (
    <label class="file-choice">
      <span>{props.label}</span>
      <input
        class="unseen"
        type="file"
        accept={ACCEPTED}
        data-testid="file-input"
        onChange={({ currentTarget }) => {
          const file = currentTarget.files?.[0];
          // Cleared, so that choosing the same file again is a choice too.
          currentTarget.value = "";
          if (file) props.onChoose(file);
        }}
      />
    </label>
  );
}
