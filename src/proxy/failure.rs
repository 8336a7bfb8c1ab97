//! Failures of a proxy, in our own words, with the variable to change.

use std::error::Error;

use http::StatusCode;

use super::Proxy;
use crate::{
    diagnostic::{Explained, Fix, Knob, fix},
    outage::{Outage, TunnelFailure},
};

// === impl Proxy ===

impl Proxy {
    /// The statement of `error`, from a call to `target`, about the proxy. `None` if the error comes from behind the
    /// proxy.
    ///
    /// `connecting` is whether no connection was established: without a tunnel, that is one to the proxy.
    #[must_use]
    pub fn explain(
        &self,
        error: &(dyn Error + 'static),
        target: &str,
        is_tunnelled: bool,
        connecting: bool,
    ) -> Option<Explained> {
        match TunnelFailure::of(error) {
            Some(TunnelFailure::Unauthorised) => Some(self.wants_credentials()),
            Some(TunnelFailure::NoProxy(cause)) => Some(self.unreachable(cause)),
            Some(TunnelFailure::Refused) => Some(Explained::new(
                format_args!("the proxy {self} does not connect to {target}"),
                fix!(
                    "correct {} if no proxy answers there, but a web server; otherwise allow the host at the proxy, or list it in {}",
                    self.knob,
                    Knob::NoProxy
                ),
            )),
            None if connecting && !is_tunnelled => Some(self.unreachable(error)),
            None => None,
        }
    }

    /// It has answered 407 itself.
    #[must_use]
    pub fn wants_credentials(&self) -> Explained {
        if self.authorization.is_some() {
            Explained::new(
                format_args!(
                    "the proxy {self} does not take the user name and password that it is given (407)"
                ),
                fix!("correct them in {}", self.knob),
            )
        } else {
            Explained::new(
                format_args!("the proxy {self} wants a user name and a password (407)"),
                fix!("add them to {}", self.knob),
            )
        }
    }

    /// Something has answered `status` in its place that does not look like a proxy, or it has answered in the place of
    /// `target` itself.
    #[must_use]
    pub fn answers_itself(&self, status: StatusCode, target: &str) -> Explained {
        Explained::new(
            format_args!(
                "{self} answered {status} to a call for {target}, and did not say that it is a proxy (`Via`): perhaps a web \
                 server answers there, or the proxy itself"
            ),
            fix!(
                "correct {} if no proxy answers there; otherwise see in the log of the proxy why it does not pass the call on, or \
                 list the host in {}, if it can be reached without a proxy",
                self.knob,
                Knob::NoProxy
            ),
        )
    }

    /// The advice if there is no connection behind the tunnel.
    pub fn leads_nowhere(&self) -> Fix {
        fix!(
            "correct {} if no proxy answers there, but a web server; otherwise see whether the proxy reaches the host, or list it in {}, \
             if it can be reached without a proxy",
            self.knob,
            Knob::NoProxy
        )
    }

    /// The connection to it broke, with a call for `target`.
    #[must_use]
    pub fn broke(&self, target: &str, cause: &str) -> Explained {
        Explained::new(
            format_args!("the connection to {target} through the proxy {self} broke: {cause}"),
            fix!(
                "correct {} if no proxy answers there that takes plain HTTP, or list the host in {}, if it can be reached without \
                 a proxy",
                self.knob,
                Knob::NoProxy
            ),
        )
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Explained {
        Explained::new(
            format_args!("the proxy {self} cannot be reached: {}", Outage::of(error)),
            fix!(
                "start the proxy or correct {}; or list the host in {}, if it can be reached without a proxy",
                self.knob,
                Knob::NoProxy
            ),
        )
    }
}
