import { createBffClient, type SessionEvent, type SessionEventOf } from "bff-client";
import { computed, onScopeDispose, readonly, shallowRef } from "vue";

/** The client of the whole application. */
const bff = createBffClient();

/**
 * Who is logged in, for a component:
 *
 *     const { user, login, logout, fetch } = useBff();
 *
 * The session is followed while at least one component uses this.
 */
export function useBff() {
  const state = shallowRef(bff.state);
  const stopListening = bff.subscribe(() => {
    state.value = bff.state;
  });
  const stop = bff.start();
  onScopeDispose(() => {
    stopListening();
    stop();
  });
  return {
    state: readonly(state),
    user: computed(() => state.value.session?.user ?? null),
    isLoading: computed(() => state.value.status === "loading"),
    login: bff.login,
    logout: bff.logout,
    fetch: bff.fetch,
    stayLoggedIn: () => bff.session({ touch: true }),
  };
}

/** Calls `listener` with each event of a type, while the component exists. */
export function useSessionEvent<Type extends SessionEvent["type"]>(
  type: Type,
  listener: (event: SessionEventOf<Type>) => void,
) {
  onScopeDispose(bff.on(type, listener));
}
