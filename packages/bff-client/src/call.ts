import type { Account } from "./account.js";
import { type ApiError, BffProblem, errorOf } from "./problem.js";
import { wait } from "./wait.js";

/** The pause before a repetition if the server names none, and the shortest one, in seconds. */
const PAUSE = 5;
const SHORTEST = 1;

/** The refusals that the server makes before it reaches the API, so that a repetition is safe for every method. */
const PASSING = /^(token_refresh_pending|(session_store|service)_unavailable|busy|not_ready|overloaded)$/;

/** The options of calls. */
export interface CallOptions {
  /** How many seconds a call waits at most, in all, for a server that asks it to come again (503). Default 30. */
  maxWait?: number | undefined;
  /** Handles a call that was refused because nobody is logged in any more. Default: nothing but the new state. */
  onUnauthenticated?: ((error: ApiError) => void) | undefined;
  /** Handles a call that needs a stronger or newer login. Default: the page navigates to that login. */
  onStepUp?: ((problem: BffProblem) => void) | undefined;
}

/** Makes a call at `url`, which is on the server's origin. Resolves with the last answer, whatever its status. */
export async function call(
  url: URL,
  init: RequestInit,
  account: Account,
  { maxWait = 30, onUnauthenticated, onStepUp }: CallOptions,
  isAnonymous: () => boolean,
): Promise<Response> {
  const isSafe = /^(GET|HEAD|OPTIONS)$/i.test(init.method ?? "GET");
  const headers = new Headers(init.headers);
  // A stream can be read only once.
  const isRepeatable = !(init.body instanceof ReadableStream);
  let left = maxWait;
  let isRefused = false;
  for (;;) {
    if (!isSafe) {
      const token = await account.csrf(isRefused);
      if (token) headers.set("X-CSRF-Token", token);
    }
    const response = await fetch(url, {
      ...init,
      headers,
      credentials: "include",
      // A redirect could lead to another origin, and the browser would send the CSRF token there too.
      redirect: isSafe ? (init.redirect ?? "follow") : "error",
    });
    if (![401, 403, 503].includes(response.status)) return response;

    const error = await errorOf(response);
    const refusal = error instanceof BffProblem ? error : undefined;
    if (refusal?.code === "csrf_token" && !isSafe && isRepeatable && !isRefused) {
      isRefused = true;
      continue;
    }
    if (refusal && PASSING.test(refusal.code) && isRepeatable) {
      const pause = Math.max(refusal.retryAfter ?? PAUSE, SHORTEST);
      left -= pause;
      if (left >= 0) {
        await wait(pause, init.signal);
        continue;
      }
    }
    if (refusal?.code === "step_up_required") onStepUp?.(refusal);
    else if (response.status === 401) {
      // The call may have carried the cookie of a session that another one has replaced meanwhile.
      await account.load().catch(() => undefined);
      if (isAnonymous()) onUnauthenticated?.(error);
    }
    return response;
  }
}
