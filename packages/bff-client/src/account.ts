import type { Addresses } from "./address.js";
import { errorOf } from "./problem.js";
import type { EndReason, Session } from "./session.js";
import { LOADING, type Store } from "./store.js";

/** The answer of `/auth/session`. */
type Answer = ({ authenticated: true; csrf_token: string } & Session) | { authenticated: false; reason?: string };

/** The session of the browser, as the server tells it. */
export interface Account {
  /** Asks who is logged in. Only with `touch` it counts as use of the session. */
  load: (touch?: boolean) => Promise<void>;
  /** The CSRF token of the session; read anew if `refused`. It stays in this closure. */
  csrf: (refused?: boolean) => Promise<string | undefined>;
  /** Forgets the session, which has ended. */
  end: (reason: EndReason) => void;
  /** Forgets the session, because the browser may have another one now. */
  forget: () => void;
}

/**
 * The account, which keeps its knowledge in `store`.
 *
 * @param onLogin The page has found a session that it did not know.
 * @param why Finds out why the session has ended.
 */
export function createAccount(
  at: Addresses,
  store: Store,
  onLogin: () => void,
  why: () => Promise<EndReason>,
): Account {
  let csrf: string | undefined;
  // Counts the sessions, so that a late answer about a former one changes nothing.
  let era = 0;
  let pending: Promise<void> | undefined;

  const leave = () => {
    era += 1;
    csrf = pending = undefined;
  };
  const end = (reason: EndReason) => {
    if (store.state.status === "anonymous") return;
    leave();
    store.set({ ...LOADING, status: "anonymous", reason });
    store.emit({ type: "session-ended", reason });
  };
  const forget = () => {
    leave();
    store.set(LOADING);
  };

  const accept = async (answer: Answer) => {
    const before = store.state.session;
    if (!answer.authenticated) {
      const anonymous = { ...LOADING, status: "anonymous" } as const;
      if (!before) return store.set({ ...anonymous, reason: answer.reason ?? store.state.reason });
      leave();
      // Nothing of the person stays in the page while the reason is looked for.
      store.set(anonymous);
      const reason = await why();
      if (store.state.status === "anonymous") store.set({ reason });
      return store.emit({ type: "session-ended", reason });
    }
    const { authenticated: _, csrf_token, ...session } = answer;
    if (before && before.user.sub !== session.user.sub) {
      forget();
      store.emit({ type: "user-changed" });
    }
    csrf = csrf_token;
    const { expiring } = store.state;
    store.set({
      ...LOADING,
      status: "authenticated",
      session,
      expiring: expiring?.expires_at === session.expires_at ? expiring : null,
    });
    if (!before) onLogin();
  };

  const ask = async (touch: boolean): Promise<void> => {
    const asked = era;
    try {
      const response = await fetch(at.auth(touch ? "session" : "session?touch=false"), {
        credentials: "include",
        cache: "no-store",
      });
      if (!response.ok) throw await errorOf(response);
      const answer = (await response.json()) as Answer;
      if (asked === era) return await accept(answer);
    } catch (error) {
      if (asked === era) {
        store.set({ error: error as Error });
        throw error;
      }
    }
    return load();
  };
  const load = (touch = false): Promise<void> => {
    if (touch) return ask(touch);
    return (pending ??= ask(touch).finally(() => (pending = undefined)));
  };

  return {
    load,
    async csrf(refused) {
      if (refused || csrf === undefined) await load();
      return csrf;
    },
    end,
    forget,
  };
}
