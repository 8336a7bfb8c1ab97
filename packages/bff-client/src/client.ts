import { createAccount } from "./account.js";
import { addresses } from "./address.js";
import { call, type CallOptions } from "./call.js";
import { type Live, startLive } from "./live.js";
import { type BffProblem, errorOf } from "./problem.js";
import { setQuery } from "./query.js";
import type { AuthState, Session } from "./session.js";
import { createStore, type Store } from "./store.js";
import { whyEnded } from "./stream.js";
import { endOf } from "./tabs.js";

/** The options of a client. */
export interface BffClientOptions extends CallOptions {
  /** Where the APIs are: `/api`, or `https://bff.example.com/api`. `/auth` is its sibling. Default `/api`. */
  baseUrl?: string | undefined;
  /** Asks `/auth/session` at this interval too, in milliseconds. Not needed: the server tells what happens. */
  pollIntervalMs?: number | undefined;
  /** Leaves the page for another address. Default `location.assign`. */
  navigate?: ((url: string) => void) | undefined;
}

/** The parameters of a login beside its target; docs/spa.md explains them. */
export interface LoginOptions {
  prompt?: "none" | "login" | "consent" | "select_account" | "create";
  login_hint?: string;
  ui_locales?: string;
  acr_values?: string;
  max_age?: number;
}

/** The options of a logout. */
export interface LogoutOptions {
  /** Ends all sessions of the person, in every browser. */
  everywhere?: boolean | undefined;
  /** The target after the logout, under the rules of a login. */
  returnTo?: string | undefined;
}

/** The client of a page. */
export interface BffClient extends Pick<Store, "subscribe" | "on"> {
  /** What the page knows of the session. */
  readonly state: AuthState;
  /** Reads the session and follows what becomes of it. Returns a function that ends this. */
  start: () => () => void;
  /** Asks the server who is logged in. Only with `touch` it counts as use of the session, and postpones its end. */
  session: (options?: { touch?: boolean }) => Promise<Session | null>;
  /** Leaves the page for the login, which comes back to `returnTo`: by default the present address. */
  login: (returnTo?: string, options?: LoginOptions) => void;
  /** Ends the session, and leaves the page for the provider, which ends its own. */
  logout: (options?: LogoutOptions) => Promise<void>;
  /** Leaves the page for the login that an API demands. Returns `false` if the problem names no login of this server. */
  stepUp: (problem: BffProblem) => boolean;
  /** The token for a form that changes something (field `csrf_token`). Keep it nowhere. */
  csrfToken: () => Promise<string | undefined>;
  /** Calls an API with the session, and handles the refusals of the server. Any answer resolves, as with `fetch`. */
  fetch: (input: string | URL, init?: RequestInit) => Promise<Response>;
  /** The URL of a path below `baseUrl`. */
  apiUrl: (path: string) => URL;
}

/** A client for the server of `baseUrl`. Nothing happens before it is started or asked. */
export function createBffClient(options: BffClientOptions = {}): BffClient {
  const { baseUrl = "/api", pollIntervalMs, navigate = (url: string) => location.assign(url) } = options;
  const at = addresses(baseUrl);
  const store = createStore();
  let live: Live | undefined;
  let users = 0;
  const account = createAccount(
    at,
    store,
    () => live?.tell({ login: true }),
    () => whyEnded(at.auth("events"), live?.lastId() ?? ""),
  );
  const isAnonymous = () => store.state.status === "anonymous";

  /** The present page, as the target of a login. */
  const here = () => {
    const { origin, href } = location;
    return origin === at.origin() ? href.slice(origin.length) : href;
  };
  const stepUp = ({ problem: { login_url } }: BffProblem) => {
    const login = at.auth("login");
    const url = urlOf(login_url, login);
    // An API must not send a person to another place than the login of this server.
    if (url?.origin !== login.origin || url.pathname !== login.pathname) return false;
    // The server knows the page from `Referer`, which the page may suppress.
    if (!url.searchParams.has("return_to")) url.searchParams.set("return_to", here());
    navigate(url.href);
    return true;
  };
  const request = (url: URL, init: RequestInit = {}) =>
    call(url, init, account, { ...options, onStepUp: options.onStepUp ?? stepUp }, isAnonymous);

  return {
    get state() {
      return store.state;
    },
    subscribe: store.subscribe,
    on: store.on,
    start() {
      // There is no page where a server renders the application.
      if (typeof document === "undefined") return () => undefined;
      users += 1;
      live ??= startLive(at, account, store, pollIntervalMs);
      let isUsing = true;
      return () => {
        if (isUsing && --users === 0) {
          live?.stop();
          live = undefined;
        }
        isUsing = false;
      };
    },
    async session({ touch } = {}) {
      await account.load(touch);
      return store.state.session;
    },
    login(returnTo = here(), more) {
      const url = at.auth("login");
      setQuery(url.searchParams, { return_to: returnTo, ...more });
      navigate(url.href);
    },
    async logout({ everywhere, returnTo } = {}) {
      const body = setQuery(new URLSearchParams(), { everywhere: everywhere || null, return_to: returnTo });
      const response = await request(at.auth("logout"), {
        method: "POST",
        headers: { Accept: "application/json" },
        body,
      });
      // A call without a session has found out that the person is logged out.
      if (!response.ok && !isAnonymous()) throw await errorOf(response);
      live?.tell(endOf("logout"));
      account.end("logout");
      if (!response.ok) return;
      const { logout_url } = (await response.json()) as { logout_url?: string };
      // The page of the provider, and never a script.
      const url = urlOf(logout_url, at.origin());
      if (url && /^https?:$/.test(url.protocol)) navigate(url.href);
    },
    stepUp,
    csrfToken: () => account.csrf(),
    fetch: async (input, init) => request(at.call(input), init),
    apiUrl: at.api,
  };
}

/** The URL of a text, unless it is none. */
function urlOf(text: string | undefined, base: string | URL): URL | undefined {
  try {
    return text ? new URL(text, base) : undefined;
  } catch {
    return undefined;
  }
}
