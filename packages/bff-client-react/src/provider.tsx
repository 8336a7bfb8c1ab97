import { type ApiError, type BffClient, type BffProblem, configure } from "bff-client";
import { createContext, type JSX, type ReactNode, useContext, useEffect, useState } from "react";

/** The properties of {@link AuthProvider}. They count when the component appears; later changes have no effect. */
export interface AuthProviderProps {
  /** The client to use, if not the shared one of `apiClient`. The other properties then have no effect. */
  client?: BffClient;
  /** Where the APIs are: `/api` (the default), or `https://bff.example.com/api`. `/auth` is its sibling. */
  baseUrl?: string;
  /** Asks `/auth/session` at this interval too, in milliseconds. Not needed: the server tells what happens. */
  pollIntervalMs?: number;
  /** Handles a call that was refused because nobody is logged in any more. Default: `isAuthenticated` becomes `false`. */
  onUnauthenticated?: (error: ApiError) => void;
  /** Handles a call that needs a stronger login. Default: the page navigates to it. */
  onStepUp?: (problem: BffProblem) => void;
  children?: ReactNode;
}

const Context = createContext<BffClient | null>(null);

/** Follows the session while it is mounted, for the hooks in the components below. */
export function AuthProvider({ client: given, children, ...options }: AuthProviderProps): JSX.Element {
  const [client] = useState(() => given ?? configure(options));
  useEffect(() => client.start(), [client]);
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client of the provider. */
export function useBffClient(): BffClient {
  const client = useContext(Context);
  if (!client) throw new Error("useAuth and its like need an <AuthProvider> above them");
  return client;
}
