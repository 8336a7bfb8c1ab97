/** The claims about the person. Only `sub` identifies a person; people choose most of the others themselves. */
export interface User {
  sub: string;
  name?: string;
  /** Present only if the provider has verified it. */
  email?: string;
  email_verified?: boolean;
  /** The name of the person over all providers: `auth:account:PROVIDER:SUB`. */
  arn?: string;
  [claim: string]: unknown;
}

/** The session of the browser, without its CSRF token. Times are RFC 3339. */
export interface Session {
  user: User;
  /** The end of the session if it is not used any more. */
  expires_at: string;
  /** The end of the access token, which the server renews by itself. */
  token_expires_at?: string | undefined;
  refreshed_at?: string | undefined;
  /** The strength of the login, if the provider states it. */
  acr?: string;
}

/** Why a session ended; docs/spa.md explains each. */
export type EndReason =
  | "logout"
  | "provider_logout"
  | "elsewhere"
  | "admin"
  | "idle"
  | "lifetime"
  | "too_many_sessions"
  | "login_required"
  | "unknown";

/** The news about the session. */
export type SessionEvent =
  /** The tokens were renewed, or the end of the session has moved because of its use. */
  | { type: "session-renewed"; expires_at: string; token_expires_at: string; refreshed_at: string }
  /** The session ends soon. With `idle`, any use postpones the end: `session({ touch: true })`. */
  | { type: "session-expiring"; expires_at: string; reason: "idle" | "lifetime" }
  /** The session has ended. */
  | { type: "session-ended"; reason: EndReason }
  /** The browser has another session now, possibly of another person: forget what you know of the person. */
  | { type: "user-changed" };

/** The news of one type. */
export type SessionEventOf<Type extends SessionEvent["type"]> = Extract<SessionEvent, { type: Type }>;

/** What the page knows of the session. A state never changes; a new one replaces it. */
export interface AuthState {
  /** `loading` until the server has said who is logged in. */
  readonly status: "loading" | "authenticated" | "anonymous";
  /** The session, while `status` is `authenticated`. */
  readonly session: Session | null;
  /** Why nobody is logged in: the reason of an end, or the code of a refusal (docs/binding.md). */
  readonly reason: EndReason | (string & {}) | null;
  /** The warning that the session ends soon. */
  readonly expiring: SessionEventOf<"session-expiring"> | null;
  /** Why the server could not be asked. The rest is the last known state. */
  readonly error: Error | null;
}
