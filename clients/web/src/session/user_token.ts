/**
 * Where the user token comes from: the address's fragment, this tab's storage, the local stack, or the user.
 *
 * A fragment never travels to a server, so it may carry the token; it is removed from the address bar at once,
 * or it would end in the history and in screenshots.
 */

import { requestDevToken } from "./api";
import { RequestError } from "./problem";

const KEY = "fieldcoach.user_token";

/** The token in a location's fragment (`#token=…`), if any. */
export function tokenInFragment(fragment: string): string | null {
  const token = new URLSearchParams(fragment.replace(/^#/, "")).get("token");
  return token?.trim() || null;
}

/** Move a token from the address bar to this tab's storage. */
export function adoptTokenFromAddress(): void {
  const token = tokenInFragment(location.hash);
  if (token === null) return;
  sessionStorage.setItem(KEY, token);
  history.replaceState(null, "", location.pathname + location.search);
}

export function keepUserToken(token: string): void {
  sessionStorage.setItem(KEY, token.trim());
}

export function forgetUserToken(): void {
  sessionStorage.removeItem(KEY);
}

/**
 * The stored token, else a fresh one of the local stack.
 *
 * @returns null when there is none and the user has to paste one.
 * @throws RequestError when the gateway can't be reached or is not ready.
 */
export async function findUserToken(): Promise<string | null> {
  const stored = sessionStorage.getItem(KEY);
  if (stored) return stored;
  try {
    const token = await requestDevToken();
    sessionStorage.setItem(KEY, token);
    return token;
  } catch (error) {
    // 404: not a local stack. 401 and 403 likewise mean that this door is closed, not that something broke.
    if (error instanceof RequestError && [401, 403, 404, 405].includes(error.problem.status)) return null;
    throw error;
  }
}
