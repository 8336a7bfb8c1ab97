/** The bff for React: a provider, hooks, and everything of bff-client. */
export * from "bff-client";
export { type Auth, useAuth, useSession, useSessionEvent } from "./hooks.js";
export { AuthProvider, type AuthProviderProps, AuthProvider as BffAuthProvider, useBffClient } from "./provider.js";
