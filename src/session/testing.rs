//! A session and a store for tests.

mod held;

use std::time::Duration;

use super::{Assurance, Bound, Device, ForTargets, Memo, Session, Tokens};
use crate::{clock::Timestamp, jose::Claims, secret::Secret};

pub(crate) use self::held::{Gate, HeldStore};

/// A session of `subject`, logged in at `now`, with the access token `access` for five minutes. Its own end is a
/// hundred hours away.
pub(crate) fn session(subject: &str, access: &str, now: Timestamp) -> Session {
    Session {
        issuer: "https://idp.test".to_owned(),
        subject: subject.to_owned(),
        sid: None,
        auth_time: Some(now),
        nonce: "nonce".into(),
        user: Claims::new(),
        tokens: Tokens {
            access: access.into(),
            access_obtained_at: now,
            access_expires_at: now.saturating_add(Duration::from_mins(5)),
            refresh: Some(Secret::from("refresh")),
            pending: None,
            refresh_expires_at: None,
            id_token: Secret::from("id"),
            scope: "openid".to_owned(),
            uncertain: false,
            strikes: None,
            later_auth_time: None,
            for_targets: ForTargets::default(),
            api_refreshed_at: None,
        },
        device: Device::default(),
        created_at: now,
        expires_at: now.saturating_add(Duration::from_hours(100)),
        assurance: Assurance::default(),
        bound: Bound::default(),
        identity: Memo::default(),
    }
}
