//! The names of keys in Redis.
//!
//! All names begin with one prefix, so that an ACL can name them. Keys that a script changes together have one hash
//! tag, so that a cluster keeps them together: a session and the two indexes of its shard. There are 64 shards:
//! enough to spread over the nodes of a cluster, and few enough to ask all of them at once for due sessions. That
//! costs Redis a fifth of a millisecond and one round trip. The alternative is a third key that knows the shards and
//! would have to be kept consistent with them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::entry::Filed;
use crate::{
    session::{SessionKey, store::Part},
    shared::Record,
};

/// A part of the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shard(Part);

/// Makes names under a prefix.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

// === impl Shard ===

impl Shard {
    pub(super) fn of(key: &SessionKey) -> Self {
        Self(Part::of(key))
    }

    pub(super) const fn of_part(part: Part) -> Self {
        Self(part)
    }

    pub(super) fn all() -> impl Iterator<Item = Self> {
        Part::all().map(Self)
    }
}

// === impl Names ===

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    fn sharded(&self, shard: Shard, rest: &str) -> String {
        format!("{}:{{{:02x}}}:{rest}", self.prefix, shard.0.number())
    }

    pub(super) fn session(&self, key: &SessionKey) -> String {
        self.sharded(Shard::of(key), &member(key))
    }

    /// The last state of a session that was removed a moment ago.
    pub(super) fn last(&self, key: &SessionKey) -> String {
        self.sharded(Shard::of(key), &format!("{}:last", member(key)))
    }

    /// When sessions can be claimed, by name.
    pub(super) fn due(&self, shard: Shard) -> String {
        self.sharded(shard, "due")
    }

    /// When to check whether sessions have ended, by name. Never later than their ends, and often earlier: a used
    /// session ends later, and the check finds that out.
    pub(super) fn ends(&self, shard: Shard) -> String {
        self.sharded(shard, "ends")
    }

    /// When the logins of an owner's sessions were completed, by name.
    pub(super) fn owner(&self, owner: &Filed) -> String {
        format!("{}:owner:{}", self.prefix, URL_SAFE_NO_PAD.encode(owner))
    }

    /// One-time events.
    pub(super) fn once(&self, id: &[u8]) -> String {
        format!("{}:once:{}", self.prefix, URL_SAFE_NO_PAD.encode(id))
    }

    /// Data that processes agree on beside sessions.
    pub(super) fn record(&self, record: Record) -> String {
        format!("{}:{{{}}}", self.prefix, record.name())
    }

    /// Who may write a record.
    pub(super) fn lock(&self, record: Record) -> String {
        format!("{}:{{{}}}:lock", self.prefix, record.name())
    }

    /// The proof of room for a record.
    pub(super) fn proof(&self, record: Record) -> String {
        format!("{}:{{{}}}:proof", self.prefix, record.name())
    }

    /// The processes that have announced that they live.
    pub(super) fn board(&self) -> String {
        format!("{}:{{replicas}}", self.prefix)
    }

    /// A process's statement about itself.
    pub(super) fn note(&self, replica: &str) -> String {
        format!("{}:{{replicas}}:{replica}", self.prefix)
    }

    /// Data that is announced for some minutes.
    pub(super) fn passing(&self, name: &str) -> String {
        format!("{}:passing:{name}", self.prefix)
    }

    /// The same, several at a time.
    pub(super) fn notes(&self, name: &str) -> String {
        format!("{}:passing:{name}:notes", self.prefix)
    }

    /// The rest of an allowance.
    pub(super) fn limit(&self, name: &str) -> String {
        format!("{}:limit:{name}", self.prefix)
    }

    /// The channel on which processes announce their changes.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    /// The key on which a start tests its permissions.
    pub(super) fn trial(&self, what: &str) -> String {
        self.sharded(Shard(Part::FIRST), what)
    }
}

/// The name of a session in indexes and messages.
pub(super) fn member(key: &SessionKey) -> String {
    URL_SAFE_NO_PAD.encode(key.as_bytes())
}

/// The session of a name.
pub(super) fn named(member: &[u8]) -> Option<SessionKey> {
    let bytes = URL_SAFE_NO_PAD.decode(member).ok()?;
    Some(SessionKey::from_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_and_its_indexes_have_one_tag() {
        let (names, key) = (Names::new("bff"), SessionKey::from_bytes([0x7f; 32]));
        let shard = Shard::of(&key);
        for name in [
            names.session(&key),
            names.last(&key),
            names.due(shard),
            names.ends(shard),
        ] {
            assert!(name.starts_with("bff:{3f}:"), "{name}");
        }
        assert!(names.owner(&[0; 16]).starts_with("bff:owner:AAAA"));
    }

    #[test]
    fn a_session_is_found_by_its_name_alone() {
        let key = SessionKey::from_bytes([3; 32]);
        assert_eq!(named(member(&key).as_bytes()), Some(key));
        for other in ["", "AAAA", "not base64!", "due"] {
            assert_eq!(named(other.as_bytes()), None);
        }
    }
}
