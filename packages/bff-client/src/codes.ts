/** The codes of the refusals of the server. Its document errors.md says what each means. */
export type ProblemCode =
  | "access_denied"
  | "ambiguous_call"
  | "ambiguous_path"
  | "ambiguous_target"
  | "bad_gateway"
  | "bad_request"
  | "body_too_large"
  | "busy"
  | "circuit_open"
  | "claim_required"
  | "cookie_and_bearer"
  | "csrf_origin"
  | "csrf_token"
  | "device_proof_refused"
  | "device_proof_required"
  | "device_registration_refused"
  | "device_required"
  | "duplicate_parameter"
  | "gateway_timeout"
  | "header_too_large"
  | "idp_answer_refused"
  | "idp_refused"
  | "idp_timeout"
  | "idp_unavailable"
  | "insufficient_scope"
  | "internal"
  | "internal_only"
  | "invalid_host"
  | "invalid_parameter"
  | "invalid_request"
  | "invalid_return_to"
  | "invalid_token"
  | "login_code_refused"
  | "login_expired"
  | "login_logged_out"
  | "login_no_code"
  | "login_other_host"
  | "login_required"
  | "login_too_weak"
  | "login_unknown"
  | "login_wrong_issuer"
  | "logout_needs_post"
  | "malformed_form"
  | "method_not_allowed"
  | "not_found"
  | "not_ready"
  | "overloaded"
  | "precondition_failed"
  | "prefetch_refused"
  | "query_too_long"
  | "range_not_satisfiable"
  | "rate_limited"
  | "request_timeout"
  | "service_busy"
  | "service_unavailable"
  | "session_binding"
  | "session_not_found"
  | "session_store_unavailable"
  | "step_up_not_enough"
  | "step_up_required"
  | "token_check_unavailable"
  | "token_refresh_pending"
  | "token_required"
  | "too_many_sessions"
  | "too_many_streams"
  | "unauthenticated"
  | "unknown_host"
  | "unknown_service"
  | "upgrade_not_supported"
  | "upstream_auth_failed"
  | "websocket_handshake"
  | "websocket_version";

/** A refusal of the server as it is on the wire: a problem document (RFC 9457) with a stable `code`. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code: ProblemCode | (string & {});
  correlation_id?: string;
  /** With `step_up_required`: the login that satisfies the API. */
  login_url?: string;
  /** With `step_up_required`: the demanded strengths of the login (RFC 9470), any of which will do. */
  acr_values?: string;
  /** With `step_up_required`: the maximum age of the login in seconds (RFC 9470). */
  max_age?: number;
}
