//! Whether a request with a session cookie fits the binding of the session (`SESSION_BINDING`).
//!
//! Otherwise the request is anonymous, and the session stays: a stolen cookie must not log anybody out.

mod told;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;

pub(super) use self::told::Told;
use super::{
    Web,
    caller::Absent,
    envelope::Envelope,
    problem::{Code, Problem},
};
use crate::session::{Binding, DeviceKey, Mismatch, Session, SessionKey, Stamp};

/// A browser whose login is younger may still be about to register its key. It does so with the first answer that
/// follows the login; the longest part is a slow security chip, which takes seconds to make a key.
const REGISTRATION_TIME: Duration = Duration::from_mins(1);

/// Requests that were under way, or queued, when the key was registered do not have the first bound cookie yet.
const GRACE: Duration = Duration::from_mins(1);

/// A browser drops the cookie by its own clock. A cookie that is older by no more than this was sent in time.
const LEEWAY: Duration = Duration::from_secs(30);

/// A request with the cookie of a session that does not fit its binding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unproven {
    /// The store's name for the session.
    pub(crate) key: SessionKey,
    /// The missing proof.
    pub(crate) why: Why,
}

/// The part of the binding that a request does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It comes from another browser, or another network, than the login.
    Mismatch(Mismatch),
    /// The browser has registered a key and has not proven it lately.
    NoProof,
    /// The browser has not registered a key.
    NoKey,
}

// === impl Why ===

impl Why {
    /// Whether a login in this very browser changes anything.
    pub(crate) const fn login_helps(self) -> bool {
        match self {
            Self::Mismatch(_) | Self::NoProof => true,
            Self::NoKey => false,
        }
    }

    /// The kind of the binding, in the words of the log.
    const fn name(self) -> &'static str {
        match self {
            Self::Mismatch(Mismatch::UserAgent) => "ua",
            Self::Mismatch(Mismatch::Network) => "ip",
            Self::NoProof | Self::NoKey => "device",
        }
    }

    /// The stable code of its problem.
    pub(crate) const fn code(self) -> Code {
        match self {
            Self::Mismatch(_) => Code::SessionBinding,
            Self::NoProof => Code::DeviceProofRequired,
            Self::NoKey => Code::DeviceRequired,
        }
    }

    /// The problem as a program gets it.
    pub(crate) fn problem(self) -> Problem {
        let detail = match self {
            Self::Mismatch(_) => "The session belongs to another browser or network. Log in at /auth/login.",
            Self::NoProof => {
                "The session belongs to a device, which has not proven itself with this request. Repeat it, or log in at \
                 /auth/login."
            }
            Self::NoKey => {
                "This application only works with browsers that bind a login to the device, and this one has not done so."
            }
        };
        Problem::new(self.code(), detail)
    }
}

// === impl Web ===

impl Web {
    /// Whether a request with the cookie of `session` belongs to it.
    pub(super) fn check_binding(
        &self,
        key: &SessionKey,
        session: &Session,
        request: &Envelope<'_>,
    ) -> Result<(), Unproven> {
        let checked = match self.binding {
            Binding::Off => Ok(()),
            Binding::Traits { .. } => {
                let bound = &session.bound;
                bound
                    .check(self.binding, &self.seen(request))
                    .map_err(Why::Mismatch)
            }
            Binding::Device { required, .. } => self.check_device(key, session, required, request),
        };
        checked.map_err(|why| {
            self.tell_unproven(key, why, request);
            Unproven { key: *key, why }
        })
    }

    /// Adds to the answer for a request without session the fields that make the browser prove its key before the
    /// next one. An invalid bound cookie, after a rotation of the secret or another login, would prevent that.
    pub(super) fn ask_for_proof(
        &self,
        absent: Absent,
        answer: Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        let Absent::Unproven(Unproven {
            why: Why::NoProof, ..
        }) = absent
        else {
            return answer;
        };
        let mut answer = answer.unwrap_or_else(IntoResponse::into_response);
        answer
            .headers_mut()
            .append(SET_COOKIE, self.cookies.clear_bound());
        Ok(answer)
    }

    fn check_device(
        &self,
        key: &SessionKey,
        session: &Session,
        required: bool,
        request: &Envelope<'_>,
    ) -> Result<(), Why> {
        let now = self.clock.now();
        match session.bound.device.as_deref() {
            Some(DeviceKey { since, .. }) => {
                let proven = || {
                    let stamp = self.cookies.bound(request.headers)?;
                    Stamp::Cookie.read(&self.sealer, key, stamp)
                };
                let is_new = now < since.saturating_add(GRACE);
                if is_new || proven().is_some_and(|until| now < until.saturating_add(LEEWAY)) {
                    Ok(())
                } else {
                    Err(Why::NoProof)
                }
            }
            None if required && now >= session.created_at.saturating_add(REGISTRATION_TIME) => {
                Err(Why::NoKey)
            }
            None => Ok(()),
        }
    }

    /// Logs it once a minute for each session, without the compared values, and without text with which a thief could
    /// fill the log.
    fn tell_unproven(&self, key: &SessionKey, why: Why, request: &Envelope<'_>) {
        self.0.measures.unproven(why);
        if !self.0.unproven.first(key, self.clock.now()) {
            return;
        }
        let session = self.sessions.reference(key);
        let binding = why.name();
        // Anybody can send it, so that it excuses nothing.
        let skipped = super::structured::skipped(request.headers);
        match why {
            Why::Mismatch(_) | Why::NoProof => tracing::warn!(
                %session,
                binding,
                skipped,
                "a request did not fit the binding of the session in its cookie; it counts as not logged in, and the \
                 session continues"
            ),
            Why::NoKey => tracing::info!(
                %session,
                binding,
                "a browser has not registered a key after its login, so it is refused, as configured"
            ),
        }
    }
}
