//! Binds a session to more than its cookie (`SESSION_BINDING`), so that a stolen cookie is worth less.

mod device;
mod stamp;
mod traits;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::traits::Traits;
pub use self::{
    device::DeviceKey,
    stamp::Stamp,
    traits::{Mismatch, Seen},
};

/// The binding of sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Binding {
    /// To nothing but the cookie.
    #[default]
    Off,
    /// To features of the browser's requests.
    Traits {
        /// The `User-Agent` field, without version numbers.
        user_agent: bool,
        /// The network of the client's address: /24 for IPv4, /48 for IPv6.
        network: bool,
    },
    /// To a key that the device does not give away (Device Bound Session Credentials).
    Device {
        /// Whether a browser that registers none is refused.
        required: bool,
        /// The lifetime of the cookie that a proof earns.
        cookie_lifetime: Duration,
    },
}

/// The binding of one session, in its record. Sessions of earlier releases are not bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The features of its login request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traits: Option<Box<Traits>>,
    /// The key that its browser has registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Box<DeviceKey>>,
}

// === impl Binding ===

impl Binding {
    /// The lifetime of the bound cookie, if sessions are bound to a device.
    #[must_use]
    pub const fn device_cookie_lifetime(&self) -> Option<Duration> {
        match self {
            Self::Device { cookie_lifetime, .. } => Some(*cookie_lifetime),
            Self::Off | Self::Traits { .. } => None,
        }
    }
}

// === impl Bound ===

impl Bound {
    /// Binds a session to the features of its login request that `binding` names. `salt` is random and belongs to
    /// this session only.
    #[must_use]
    pub fn at_login(binding: Binding, seen: &Seen<'_>, salt: [u8; 16]) -> Self {
        let traits = match binding {
            Binding::Traits { user_agent, network } => {
                Some(Box::new(Traits::of(seen, user_agent, network, salt)))
            }
            Binding::Off | Binding::Device { .. } => None,
        };
        Self { traits, device: None }
    }

    /// Compares a request with the login, for the features that `binding` names and the login recorded.
    ///
    /// # Errors
    ///
    /// [`Mismatch`], the first one.
    pub fn check(&self, binding: Binding, seen: &Seen<'_>) -> Result<(), Mismatch> {
        match (binding, &self.traits) {
            (Binding::Traits { user_agent, network }, Some(traits)) => {
                traits.check(seen, user_agent, network)
            }
            _ => Ok(()),
        }
    }

    /// Whether it is bound to nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.traits.is_none() && self.device.is_none()
    }

    /// The memory that it takes beside itself, in bytes.
    #[must_use]
    pub(super) fn weight(&self) -> usize {
        self.traits.as_deref().map_or(0, Traits::weight) + self.device.as_deref().map_or(0, DeviceKey::weight)
    }
}

#[cfg(test)]
mod tests;
