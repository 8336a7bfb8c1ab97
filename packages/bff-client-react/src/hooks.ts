import type { AuthState, BffClient, SessionEvent, SessionEventOf, User } from "bff-client";
import { useEffect, useRef, useSyncExternalStore } from "react";

import { useBffClient } from "./provider.js";

/** What a component knows of the session, and what it can do about it. */
export interface Auth extends Pick<BffClient, "login" | "logout"> {
  isAuthenticated: boolean;
  /** Nothing is known yet. */
  isLoading: boolean;
  user: User | null;
  /** Why the server could not be asked. The rest is the last known state. */
  error: Error | null;
}

/** The whole state of the session: also its times, its end and the warning before it. */
export function useSession(): AuthState {
  const client = useBffClient();
  const state = () => client.state;
  return useSyncExternalStore(client.subscribe, state, state);
}

/** Who is logged in, and the ways in and out. */
export function useAuth(): Auth {
  const { login, logout } = useBffClient();
  const { status, session, error } = useSession();
  return {
    isAuthenticated: status === "authenticated",
    isLoading: status === "loading",
    user: session?.user ?? null,
    error,
    login,
    logout,
  };
}

/** Calls the latest `listener` with each event of a type. */
export function useSessionEvent<Type extends SessionEvent["type"]>(
  type: Type,
  listener: (event: SessionEventOf<Type>) => void,
): void {
  const client = useBffClient();
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => client.on(type, (event) => latest.current(event)), [client, type]);
}
