//! The one list of problem codes. `docs/errors.md` is made from it.

use http::StatusCode;

/// Declares [`Code`] with one row a code, so that no match and no document can leave one out.
macro_rules! codes {
    ($($code:ident, $status:ident, $name:literal, $title:literal, means $means:literal, client $client:literal;)+) => {
        /// Why a request is not served: what clients and pages tell problems apart by. Stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $means] $code,)+
        }

        impl Code {
            /// All codes, ordered by their status.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$code),+];

            /// The code as clients, logs and message files have it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$code => $name,)+ }
            }

            /// The status of every answer with this code.
            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status,)+ }
            }

            /// The title of its problem document (RFC 9457 section 3.1.3).
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            /// Its meaning, for the document.
            #[cfg(test)]
            const fn means(self) -> &'static str {
                match self { $(Self::$code => $means,)+ }
            }

            /// The advice to a client, for the document.
            #[cfg(test)]
            const fn client(self) -> &'static str {
                match self { $(Self::$code => $client,)+ }
            }
        }
    };
}

codes! {
    AmbiguousCall, BAD_REQUEST, "ambiguous_call", "The request is malformed",
        means "A proxy asks `/auth/verify` about a call that has a route, and its request names two paths, methods or hosts for it, or no method.",
        client "Correct the proxy ([proxies.md](proxies.md)). A browser that sends such header fields itself gets this answer too.";
    AmbiguousPath, BAD_REQUEST, "ambiguous_path", "The request is malformed",
        means "The path is ambiguous. It contains `//`, `..`, `;` or an encoded `/`, `\\` or `%`; or it is another spelling (upper case, dots or spaces at the end of a segment, full-width letters) of a path with other rules.",
        client "Build paths from encoded segments, in the spelling of the routes. Put free text into the query.";
    AmbiguousTarget, BAD_REQUEST, "ambiguous_target", "The request is malformed",
        means "The target address is not percent-encoded, so the server cannot tell its parameters from those of the request.",
        client "Encode the address (`encodeURIComponent`).";
    BadRequest, BAD_REQUEST, "bad_request", "The request is malformed",
        means "The server cannot forward the request to the API, or the request's body ended early.",
        client "Correct the request. If its body ended early, send it again.";
    CookieAndBearer, BAD_REQUEST, "cookie_and_bearer", "The request is malformed",
        means "The request brings an access token and a session cookie. A route with `auth: bearer` takes a token alone.",
        client "Send the token without cookies.";
    DeviceProofRefused, BAD_REQUEST, "device_proof_refused", "The request is malformed",
        means "The browser tried to renew the cookie of a device with an invalid proof.",
        client "Nothing: browsers send this request by themselves. Log in again if calls get 401.";
    DuplicateParameter, BAD_REQUEST, "duplicate_parameter", "The request is malformed",
        means "The request repeats a parameter.",
        client "Send it once.";
    InternalOnly, BAD_REQUEST, "internal_only", "The request is malformed",
        means "Only the internal listener (`BFF_INTERNAL_ADDR`) answers `/auth/verify?service=`.",
        client "Ask the internal listener.";
    InvalidHost, BAD_REQUEST, "invalid_host", "The request is malformed",
        means "The request has no host, or two.",
        client "Correct the proxy, or the client if it is not a browser.";
    InvalidParameter, BAD_REQUEST, "invalid_parameter", "The request is malformed",
        means "A parameter of the request has an invalid value.",
        client "Correct the parameter that `detail` names.";
    InvalidRequest, BAD_REQUEST, "invalid_request", "The request is malformed",
        means "A front-channel logout of the provider lacks `iss` or `sid`, or names another issuer.",
        client "Correct the provider's settings for this client.";
    InvalidReturnTo, BAD_REQUEST, "invalid_return_to", "The request is malformed",
        means "`return_to` is not an allowed target of a login or logout.",
        client "Use a path of this application, or an address that `BFF_ALLOWED_REDIRECT_HOSTS` allows.";
    LoginCodeRefused, BAD_REQUEST, "login_code_refused", "You are not logged in yet",
        means "The provider rejected the authorization code: it was used before, or it has expired.",
        client "Log in again.";
    LoginExpired, BAD_REQUEST, "login_expired", "You are not logged in yet",
        means "The login took longer than ten minutes.",
        client "Log in again.";
    LoginLoggedOut, BAD_REQUEST, "login_logged_out", "You are not logged in yet",
        means "The provider logged the person out while they were logging in.",
        client "Log in again.";
    LoginUnanswered, BAD_REQUEST, "login_no_code", "You are not logged in yet",
        means "The provider answered a login with neither a code nor an error.",
        client "Log in again.";
    LoginOtherHost, BAD_REQUEST, "login_other_host", "You are not logged in yet",
        means "The login was started on another host of the application.",
        client "Log in again on this host.";
    LoginUnknown, BAD_REQUEST, "login_unknown", "You are not logged in yet",
        means "The login was not started in this browser, or its cookie has expired.",
        client "Log in again.";
    LoginWrongIssuer, BAD_REQUEST, "login_wrong_issuer", "You are not logged in yet",
        means "The `iss` in the response to a login is not the provider's issuer (RFC 9207).",
        client "Log in again. If it happens twice, read the server's log.";
    MalformedForm, BAD_REQUEST, "malformed_form", "The request is malformed",
        means "A form is too long or not UTF-8.",
        client "Correct the form.";
    QueryTooLong, BAD_REQUEST, "query_too_long", "The request is malformed",
        means "The query string of a request to the server's own endpoint is too long.",
        client "Shorten it.";
    UnknownHost, BAD_REQUEST, "unknown_host", "The request is malformed",
        means "No login is possible on this host: it is not in the registered redirect URIs.",
        client "Use a host of `DCR_REDIRECT_URIS`. Behind a proxy, forward `Host`, or list the proxy in `BFF_TRUSTED_PROXIES`.";
    UnknownService, BAD_REQUEST, "unknown_service", "The request is malformed",
        means "`/auth/verify?service=` names a service that `routes.yaml` does not have.",
        client "Use an `id` of `routes.yaml`.";
    WebSocketHandshake, BAD_REQUEST, "websocket_handshake", "The request is malformed",
        means "The handshake of a WebSocket is malformed: its method, its `Connection` or `Sec-WebSocket-*` fields (RFC 6455 section 4.1), or it has a body.",
        client "Open the WebSocket with a library. If a proxy is in front, let it pass `Connection` and `Upgrade`.";
    DeviceProofRequired, UNAUTHORIZED, "device_proof_required", "You are not logged in",
        means "The session is bound to a device, and the browser's last proof of the device has expired.",
        client "Log in. A browser with the device's key renews the proof by itself, before it sends the call.";
    InvalidToken, UNAUTHORIZED, "invalid_token", "The access token is not accepted",
        means "The access token that the request brings has expired, is revoked, or was not issued for this server ([bearer.md](bearer.md)).",
        client "Get a new token from the issuer, for the audience of this API. Repeat once.";
    LoginRequired, UNAUTHORIZED, "login_required", "A login is required",
        means "The client requested a silent login (`prompt=none`), and the person is not logged in at the provider.",
        client "Log in without `prompt=none`.";
    SessionBinding, UNAUTHORIZED, "session_binding", "You are not logged in",
        means "The session belongs to another browser or network ([binding.md](binding.md)).",
        client "Log in.";
    StepUpRequired, UNAUTHORIZED, "step_up_required", "A stronger login is required",
        means "The API requires a stronger or newer login (RFC 9470); `acr_values` and `max_age` specify it.",
        client "Navigate to `login_url`. It leads back to the page if the call sent its `Referer`; add `return_to` yourself where a `Referrer-Policy` suppresses it.";
    TokenRequired, UNAUTHORIZED, "token_required", "An access token is required",
        means "The route takes calls with an access token in `Authorization: Bearer` only.",
        client "Get a token; `resource_metadata` in `WWW-Authenticate` says from whom.";
    Unauthenticated, UNAUTHORIZED, "unauthenticated", "You are not logged in",
        means "There is no session, or it has ended.",
        client "Log in.";
    AccessDenied, FORBIDDEN, "access_denied", "You are not logged in yet",
        means "The person or the provider denied the login.",
        client "Log in again if that was a mistake.";
    ClaimRequired, FORBIDDEN, "claim_required", "The request is not allowed",
        means "The route requires a claim that the person does not have (`require` in `routes.yaml`).",
        client "Tell the person. A login helps after their rights have changed at the provider.";
    CsrfOrigin, FORBIDDEN, "csrf_origin", "The request is not allowed",
        means "The call does not come from an origin of this application.",
        client "Correct the configuration: `BFF_BASE_URL` and `DCR_REDIRECT_URIS` list the application's origins, `CORS__ALLOW_ORIGINS` lists others.";
    CsrfToken, FORBIDDEN, "csrf_token", "The request is not allowed",
        means "The CSRF token is missing, or it belongs to an earlier session.",
        client "Read `/auth/session`, and repeat once.";
    DeviceRegistrationRefused, FORBIDDEN, "device_registration_refused", "The request is not allowed",
        means "The browser tried to bind the session to the device, and the server refused its key.",
        client "Nothing: browsers send this request by themselves. The server's log has the cause.";
    DeviceRequired, FORBIDDEN, "device_required", "This browser cannot be used here",
        means "The application requires a browser that binds the session to the device (`SESSION_BINDING=device`).",
        client "Tell the person. Another login in this browser does not help.";
    InsufficientScope, FORBIDDEN, "insufficient_scope", "The request is not allowed",
        means "The route requires a scope that the access token does not have (`required_scopes` in `routes.yaml`).",
        client "Tell the person. A login helps if the provider grants the scope now; `OIDC_SCOPES` requests it.";
    LoginTooWeak, FORBIDDEN, "login_too_weak", "The login was not strong enough",
        means "The login was weaker than the request required. The former session continues.",
        client "Log in with a method that the provider counts as strong enough.";
    LogoutNeedsPost, FORBIDDEN, "logout_needs_post", "The request is not allowed",
        means "A script requested a logout with GET.",
        client "Send a POST with the CSRF token ([spa.md](spa.md#logging-out)).";
    PrefetchRefused, FORBIDDEN, "prefetch_refused", "The request is not allowed",
        means "The browser requested a login or logout before the person did (a prefetch).",
        client "Navigate to the address. Exclude `/auth/` from prefetching.";
    StepUpNotEnough, FORBIDDEN, "step_up_not_enough", "The login is not strong enough",
        means "The API still requires a stronger login, less than a minute after a login.",
        client "Tell the person. Another login would not help.";
    NotFound, NOT_FOUND, "not_found", "There is nothing here",
        means "No route has this path.",
        client "Correct the path, or the routes.";
    SessionNotFound, NOT_FOUND, "session_not_found", "There is no such session",
        means "None of the person's sessions has this reference.",
        client "Read `/auth/sessions` again.";
    MethodNotAllowed, METHOD_NOT_ALLOWED, "method_not_allowed", "This method is not possible here",
        means "The route or endpoint does not support the method; `Allow` lists the supported ones.",
        client "Use one of those.";
    RequestTimeout, REQUEST_TIMEOUT, "request_timeout", "The request took too long",
        means "The upload stalled.",
        client "Send it again.";
    PreconditionFailed, PRECONDITION_FAILED, "precondition_failed", "A condition of the request does not hold",
        means "The request for a file has a condition (`If-Match`, `If-Unmodified-Since`) that does not hold.",
        client "Read the file again, without the condition.";
    BodyTooLarge, PAYLOAD_TOO_LARGE, "body_too_large", "The request's body is too long",
        means "The body is longer than the route takes (`max_body` in `routes.yaml`).",
        client "Send less, or in parts.";
    RangeNotSatisfiable, RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The file has no such part",
        means "The request asks for bytes after the end of a file; `Content-Range` has the length of the file.",
        client "Read the file from its beginning.";
    WebSocketVersion, UPGRADE_REQUIRED, "websocket_version", "Another version of the protocol is required",
        means "The handshake of a WebSocket names another version than 13.",
        client "Use version 13 (RFC 6455), as browsers do.";
    RateLimited, TOO_MANY_REQUESTS, "rate_limited", "Too many requests",
        means "The caller, or all callers together, called the route more often than it allows (`rate_limit` in `routes.yaml`). Or more logins began at one address than `LOGIN_RATE_LIMIT` allows. `RateLimit-Policy` and `RateLimit` name the limit ([limits.md](limits.md)).",
        client "Wait for `Retry-After` seconds, and repeat.";
    TooManyStreams, TOO_MANY_REQUESTS, "too_many_streams", "Too many open streams",
        means "The session has 20 open streams of `/auth/events`, or 100 open WebSockets.",
        client "Close those that are not needed. Wait for `Retry-After` seconds.";
    HeaderTooLarge, REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large", "The request's header is too large",
        means "The header of the request exceeds the server's limit, mostly because of cookies.",
        client "Remove cookies of this site that are not needed.";
    Internal, INTERNAL_SERVER_ERROR, "internal", "Something went wrong here",
        means "A fault of the server. Its log has the cause under the correlation id.",
        client "Report the correlation id.";
    UpgradeNotSupported, NOT_IMPLEMENTED, "upgrade_not_supported", "Protocol upgrades are not supported",
        means "The route takes no WebSocket (`websocket: true` in `routes.yaml`), or the request asks for another protocol.",
        client "Use requests or server-sent events, or the path of a route that takes WebSockets.";
    BadGateway, BAD_GATEWAY, "bad_gateway", "The service gave no usable answer",
        means "The API is unreachable, or its response is not HTTP.",
        client "As for any API that is down.";
    IdpAnswerRefused, BAD_GATEWAY, "idp_answer_refused", "The identity provider's answer was refused",
        means "The provider's response to a login failed a security check. The server's log has the cause.",
        client "Try again once. If it happens again, report the correlation id.";
    IdpRefused, BAD_GATEWAY, "idp_refused", "The identity provider refused the login",
        means "The provider refused a login, or the server as its client. The server's log has the cause.",
        client "Try again once. If it happens again, report the correlation id.";
    IdpUnavailable, BAD_GATEWAY, "idp_unavailable", "The identity provider is not available",
        means "The provider is unreachable, or it reports a problem.",
        client "Try again in a moment.";
    UpstreamAuthFailed, BAD_GATEWAY, "upstream_auth_failed", "There is no token for the service",
        means "The provider issues no token for the API behind this path. The server's log has the reason.",
        client "Report the correlation id. Another login helps only if the rights of the person have changed.";
    Busy, SERVICE_UNAVAILABLE, "busy", "Not available at the moment",
        means "The number of logins in progress, of event streams, or of WebSockets, is at the server's limit.",
        client "Wait for `Retry-After` seconds, and repeat.";
    CircuitOpen, SERVICE_UNAVAILABLE, "circuit_open", "The service cannot be called",
        means "The API gave no response several times in a row, and the server spares it for a while (`breaker` in `routes.yaml`).",
        client "Wait for `Retry-After` seconds, and repeat.";
    NotReady, SERVICE_UNAVAILABLE, "not_ready", "Not available at the moment",
        means "The server has just started and has not read the provider's metadata yet.",
        client "Wait for `Retry-After` seconds, and repeat.";
    Overloaded, SERVICE_UNAVAILABLE, "overloaded", "Not available at the moment",
        means "The number of connections is at the server's limit.",
        client "Wait for `Retry-After` seconds, and repeat.";
    ServiceBusy, SERVICE_UNAVAILABLE, "service_busy", "The service cannot be called",
        means "The API has as many calls at a time as it takes (`concurrency` in `routes.yaml`).",
        client "Wait for `Retry-After` seconds, and repeat.";
    ServiceUnavailable, SERVICE_UNAVAILABLE, "service_unavailable", "The service cannot be called",
        means "The server lacks a resource to call the API, such as open files.",
        client "Repeat in a moment.";
    SessionStoreUnavailable, SERVICE_UNAVAILABLE, "session_store_unavailable", "Not available at the moment",
        means "The session store does not respond. Sessions still exist.",
        client "Wait for `Retry-After` seconds, and repeat. Do **not** log out.";
    TokenCheckUnavailable, SERVICE_UNAVAILABLE, "token_check_unavailable", "Not available at the moment",
        means "The issuer of the access token, or its keys, cannot be reached.",
        client "Wait for `Retry-After` seconds, and repeat with the same token.";
    TokenRefreshPending, SERVICE_UNAVAILABLE, "token_refresh_pending", "Not available at the moment",
        means "The access token has expired, and its refresh failed for now. The session still exists.",
        client "Wait for `Retry-After` seconds, and repeat. Do **not** log out.";
    TooManySessions, SERVICE_UNAVAILABLE, "too_many_sessions", "Not available at the moment",
        means "The number of sessions is at its limit (`SESSION_MAX`, or memory).",
        client "Wait, and log in again.";
    GatewayTimeout, GATEWAY_TIMEOUT, "gateway_timeout", "The service did not answer in time",
        means "The API did not begin its response in time.",
        client "As for any API that is late.";
    IdpTimeout, GATEWAY_TIMEOUT, "idp_timeout", "The identity provider does not answer",
        means "The provider did not answer in time.",
        client "Try again in a moment.";
}

#[cfg(test)]
mod tests;
