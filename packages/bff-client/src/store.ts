import type { AuthState, SessionEvent, SessionEventOf } from "./session.js";

/** Holds the state, and passes on the news. */
export interface Store {
  readonly state: AuthState;
  /** Replaces parts of the state. */
  set: (part: Partial<AuthState>) => void;
  /** Calls `listener` after each change of the state, until the returned function is called. */
  subscribe: (listener: () => void) => () => void;
  /** Calls `listener` with each event of a type, until the returned function is called. */
  on: <Type extends SessionEvent["type"]>(type: Type, listener: (event: SessionEventOf<Type>) => void) => () => void;
  emit: (event: SessionEvent) => void;
}

/** The state before the server has answered. */
export const LOADING: AuthState = { status: "loading", session: null, reason: null, expiring: null, error: null };

/** A store in the state `loading`. */
export function createStore(): Store {
  let state = LOADING;
  const changes = new Set<() => void>();
  const news = new Set<(event: SessionEvent) => void>();
  const add = <Listener>(listeners: Set<Listener>, listener: Listener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  return {
    get state() {
      return state;
    },
    set(part) {
      state = { ...state, ...part };
      for (const listener of changes) listener();
    },
    // Each listener is an entry of its own, also if it is given twice.
    subscribe: (listener) => add(changes, () => listener()),
    on: (type, listener) => add(news, (event) => event.type === type && listener(event as never)),
    emit(event) {
      for (const listener of news) listener(event);
    },
  };
}
