//! The value of a session in Redis: a head of fixed width, which scripts read and write, and the sealed record.
//!
//! A string, not a hash: a hash of nine fields takes 500 bytes more of Redis for each session. Numbers are milliseconds or
//! counts of eight bytes, the highest first, as `struct.unpack('>I8')` reads them.
//!
//! | at | length | what |
//! | --- | --- | --- |
//! | 0 | 1 | `S`; `T` is what is left of a session that was removed |
//! | 1 | 8 | version |
//! | 9 | 8 | when it was last used |
//! | 17 | 8 | when its login was completed |
//! | 25 | 8 | when it ends however it is used |
//! | 33 | 8 | when its tokens are due, 0 for never |
//! | 41 | 8 | the number of the lease on it, random |
//! | 49 | 8 | when that lease is over |
//! | 57 | 16 | the owner index of its person |
//! | 73 | 16 | the owner index of its login at the IdP, zeros where there is none |
//! | 89 | | the sealed record |

use std::time::Duration;

use super::super::{Version, sealed::Owner};
use crate::clock::Timestamp;

/// The length of the head.
const HEAD: usize = 89;

/// Scripts and the scores of sorted sets use doubles, which represent every integer up to this one.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The form of a number in a head.
pub(super) type Packed = [u8; 8];

/// The name of an owner index: 128 bits of a keyed hash distinguish owners and reveal nothing.
pub(super) type Filed = [u8; 16];

/// The value in Redis under the key of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// None, or the remains of a removed session.
    Nothing,
    /// A session: its head and its sealed record.
    Session(Head, &'a [u8]),
    /// Something that no server of this kind has written.
    Foreign,
}

/// The facts about a session that are readable without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) last_seen: Timestamp,
    pub(super) created_at: Timestamp,
    /// However it is used.
    pub(super) ends: Timestamp,
    pub(super) due: Option<Timestamp>,
    /// When the lease on it is over.
    pub(super) held_until: Timestamp,
    pub(super) person: Filed,
    pub(super) login: Option<Filed>,
}

/// A time as scripts count it.
pub(super) fn millis(time: Timestamp) -> u64 {
    time.unix_millis().min(MAX_NUMBER)
}

/// A length of time as scripts count it.
pub(super) fn length(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).map_or(MAX_NUMBER, |millis| millis.min(MAX_NUMBER))
}

/// The form of a time in a head.
pub(super) fn packed(time: Timestamp) -> Packed {
    millis(time).to_be_bytes()
}

/// The form of a due time in a head.
pub(super) fn packed_due(due: Option<Timestamp>) -> Packed {
    due_millis(due).to_be_bytes()
}

/// When tokens are due, as scripts count it: 0 for never.
pub(super) fn due_millis(due: Option<Timestamp>) -> u64 {
    due.map_or(0, |due| millis(due).max(1))
}

/// The form of a version in a head.
pub(super) fn packed_version(version: Version) -> Packed {
    version.0.to_be_bytes()
}

/// The name of the index of an owner.
pub(super) fn filed(owner: &Owner) -> Filed {
    let mut filed = Filed::default();
    filed.copy_from_slice(&owner[..size_of::<Filed>()]);
    filed
}

// === impl Found ===

impl<'a> Found<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Self {
        match value.first() {
            None | Some(b'T') => Self::Nothing,
            Some(b'S') => match Head::parse(value) {
                Some((head, sealed)) => Self::Session(head, sealed),
                None => Self::Foreign,
            },
            Some(_) => Self::Foreign,
        }
    }
}

// === impl Head ===

impl Head {
    /// The value of a session without a lease.
    pub(super) fn join(&self, sealed: &[u8]) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEAD + sealed.len());
        value.push(b'S');
        value.extend(packed_version(self.version));
        for time in [self.last_seen, self.created_at, self.ends] {
            value.extend(packed(time));
        }
        value.extend(packed_due(self.due));
        value.extend(Packed::default());
        value.extend(packed(self.held_until));
        value.extend(self.person);
        value.extend(self.login.unwrap_or_default());
        value.extend(sealed);
        value
    }

    fn parse(value: &[u8]) -> Option<(Self, &[u8])> {
        let (head, sealed) = value.split_at_checked(HEAD)?;
        let mut rest = &head[1..];
        let mut number = || {
            let (number, left) = rest.split_first_chunk()?;
            rest = left;
            Some(u64::from_be_bytes(*number))
        };
        let version = Version(number()?);
        let mut time = || number().map(Timestamp::from_unix_millis);
        let (last_seen, created_at, ends) = (time()?, time()?, time()?);
        let due = Some(time()?).filter(|due| *due > Timestamp::EPOCH);
        let (_lease, held_until) = (time()?, time()?);
        let (person, login) = rest.split_first_chunk()?;
        let login: Filed = login.try_into().ok()?;
        let head = Self {
            version,
            last_seen,
            created_at,
            ends,
            due,
            held_until,
            person: *person,
            login: Some(login).filter(|login| *login != Filed::default()),
        };
        Some((head, sealed))
    }

    /// The owner indexes that name the session.
    pub(super) fn owners(&self) -> impl Iterator<Item = Filed> + use<> {
        [Some(self.person), self.login].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        let at = Timestamp::from_unix_millis;
        Head {
            version: Version(3),
            last_seen: at(1_001),
            created_at: at(1_000),
            ends: at(9_000),
            due: Some(at(5_000)),
            held_until: Timestamp::EPOCH,
            person: [1; 16],
            login: Some([2; 16]),
        }
    }

    #[test]
    fn a_value_reads_as_it_was_made() {
        let bare = Head {
            due: None,
            login: None,
            ..head()
        };
        for head in [head(), bare] {
            let value = head.join(b"sealed");
            assert_eq!(Found::parse(&value), Found::Session(head, b"sealed"));
        }
        let times = [Timestamp::EPOCH, Timestamp::from_unix_millis(u64::MAX)];
        assert_eq!(times.map(|time| due_millis(Some(time))), [1, MAX_NUMBER]);
    }

    #[test]
    fn what_is_no_session_is_told_apart() {
        assert_eq!(Found::parse(b""), Found::Nothing);
        assert_eq!(Found::parse(b"T"), Found::Nothing);
        for foreign in [&b"S"[..], &head().join(b"")[..HEAD - 1], b"{\"a\":1}", b"\0"] {
            assert_eq!(Found::parse(foreign), Found::Foreign);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Found::parse(&bytes);
        }
    }
}
