//! Failures of a proxy, in our own words, with the variable to change.

use std::{error::Error, io};

use super::Proxy;
use crate::diagnostic::{Explained, Knob, fix};

/// The beginnings of the HTTP library's error texts about a tunnel. Their type is not public; tests check the texts.
const TUNNEL: &str = "tunnel error: ";

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
        match tunnel(error) {
            Some((problem, cause)) => Some(match problem.as_str() {
                "proxy authorization required" => self.wants_credentials(),
                "failed to create underlying connection" | "io error establishing tunnel" => {
                    self.unreachable(cause.unwrap_or(error))
                }
                _ => Explained::new(
                    format_args!("the proxy {self} does not connect to {target}"),
                    fix!("allow it there, or list the host in {}", Knob::NoProxy),
                ),
            }),
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
        let mut last = error;
        while let Some(cause) = last.source() {
            last = cause;
        }
        Explained::new(
            format_args!("the proxy {self} cannot be reached: {last}"),
            fix!(
                "start the proxy or correct {}; or list the host in {}, if it can be reached without a proxy",
                self.variable,
                Knob::NoProxy
            ),
        )
    }
}

/// The reason and the cause of a failed tunnel.
fn tunnel<'a>(error: &'a (dyn Error + 'static)) -> Option<(String, Option<&'a (dyn Error + 'static)>)> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let next = match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
        let text = error.to_string();
        if let Some(problem) = text.strip_prefix(TUNNEL) {
            return Some((problem.to_owned(), next));
        }
        cause = next;
    }
    None
}
