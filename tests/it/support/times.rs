//! The times that tests let pass, by what happens then. Access tokens of the development IdP live for a minute.

use std::time::Duration;

/// An access token is due for renewal.
pub const DUE: Duration = Duration::from_secs(31);

/// An access token is about to expire: requests wait for a newer one.
pub const ABOUT_TO_EXPIRE: Duration = Duration::from_secs(56);

/// An access token has expired.
pub const EXPIRED: Duration = Duration::from_secs(61);

/// A call to the IdP has run out of time.
pub const IDP_TIMEOUT: Duration = Duration::from_secs(15);

/// More than a minute: a use renews the session cookie, and a log line about the same thing may be repeated.
pub const OVER_A_MINUTE: Duration = Duration::from_secs(61);
