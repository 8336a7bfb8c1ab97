/** The client of the bff for pages: the session, logins and logouts, calls to APIs. It holds no token of the provider. */
export { apiClient, type ApiOptions, configure, fetchWithAuth, setBaseUrl } from "./api.js";
export {
  type BffClient,
  type BffClientOptions,
  createBffClient,
  type LoginOptions,
  type LogoutOptions,
} from "./client.js";
export type { Problem, ProblemCode } from "./codes.js";
export { ApiError, BffProblem, errorOf } from "./problem.js";
export type { AuthState, EndReason, Session, SessionEvent, SessionEventOf, User } from "./session.js";
