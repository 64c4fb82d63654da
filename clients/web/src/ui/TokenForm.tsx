import { text } from "./text";

/** Where no local stack gives a token by itself. */
export function TokenForm({ onToken }: { onToken: (token: string) => void }) {
  return (
    <form
      class="card token"
      onSubmit={(event) => {
        event.preventDefault();
        const token = new FormData(event.currentTarget).get("token");
        if (typeof token === "string" && token.trim()) onToken(token);
      }}
    >
      <h2>{text.token.title}</h2>
      <p class="hint" id="token-hint">
        {text.token.hint} <code>{text.token.command}</code>
      </p>
      <label>
        <span>{text.token.label}</span>
        <input
          name="token"
          type="text"
          required
          data-testid="token"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          aria-describedby="token-hint"
        />
      </label>
      <button type="submit" class="primary" data-testid="use-token">
        {text.token.use}
      </button>
    </form>
  );
}
