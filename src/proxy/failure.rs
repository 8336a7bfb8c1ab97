//! Failures of a proxy, in our own words, with the variable to change.

use std::error::Error;

use super::Proxy;
use crate::{
    diagnostic::{Explained, Knob, fix},
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
                fix!("allow it there, or list the host in {}", Knob::NoProxy),
            )),
            None if connecting && !is_tunnelled => Some(self.unreachable(error)),
            None => None,
        }
    }

    /// It has answered 407 itself.
    #[must_use]
    pub fn wants_credentials(&self) -> Explained {
        let variable = self.variable;
        if self.authorization.is_some() {
            Explained::new(
                format_args!(
                    "the proxy {self} does not take the user name and password that it is given (407)"
                ),
                fix!("correct them in {}", variable),
            )
        } else {
            Explained::new(
                format_args!("the proxy {self} wants a user name and a password (407)"),
                fix!("add them to {}", variable),
            )
        }
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> Explained {
        Explained::new(
            format_args!("the proxy {self} cannot be reached: {}", Outage::of(error)),
            fix!(
                "start the proxy or correct {}; or list the host in {}, if it can be reached without a proxy",
                self.variable,
                Knob::NoProxy
            ),
        )
    }
}
