//! The unsealed data of a session in the disk store: the data for decisions and for the indexes.

use crate::{
    clock::Timestamp,
    session::{
        Lifespan, Session, SessionKey,
        store::{
            Due, Version, Whose,
            sealed::{Owner, Seal},
        },
    },
};

/// A row as bytes. Its layout belongs to [`FORMAT`](super::file::FORMAT).
pub(super) type Bytes = [u8; LENGTH];

/// Six numbers of eight bytes, and two owners.
const LENGTH: usize = 6 * 8 + 2 * size_of::<Owner>();

/// Stands for no due time. As a time it would never come.
const NEVER: u64 = u64::MAX;

/// Stands for no login at the IdP. A keyed hash is never all zeros in practice, and nothing is found by it.
const NO_LOGIN: Owner = [0; size_of::<Owner>()];

/// A session's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) version: Version,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) last_seen: Timestamp,
    pub(super) due: Option<Timestamp>,
    /// When to check whether the session has ended. Never later than its end, and often earlier: using a session
    /// moves its end, and the check finds that out.
    pub(super) look_at: Timestamp,
    pub(super) person: Owner,
    pub(super) login: Option<Owner>,
}

// === impl Row ===

impl Row {
    /// The row of a new session.
    pub(super) fn new(
        session: &Session,
        seal: &Seal,
        lifespan: &Lifespan,
        due: Due,
        last_seen: Timestamp,
    ) -> Self {
        Self {
            version: Version::FIRST,
            created_at: session.created_at,
            expires_at: session.ends_at(),
            last_seen,
            due: due.after(None),
            look_at: lifespan.end_of(session, last_seen),
            person: seal.owner(Whose::person(session)),
            login: Whose::login(session).map(|login| seal.owner(login)),
        }
    }

    /// When the session ends, as far as it has been used by now.
    pub(super) fn end(&self, lifespan: &Lifespan) -> Timestamp {
        lifespan.end(self.created_at, self.expires_at, self.last_seen)
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &Owner> {
        [Some(&self.person), self.login.as_ref()].into_iter().flatten()
    }

    pub(super) fn encode(&self) -> Bytes {
        let numbers = [
            self.version.0,
            self.created_at.unix_millis(),
            self.expires_at.unix_millis(),
            self.last_seen.unix_millis(),
            self.due.map_or(NEVER, Timestamp::unix_millis),
            self.look_at.unix_millis(),
        ];
        let mut bytes = [0; LENGTH];
        let (head, owners) = bytes.split_at_mut(6 * 8);
        for (place, number) in head.as_chunks_mut().0.iter_mut().zip(numbers) {
            *place = number.to_be_bytes();
        }
        let (person, login) = owners.split_at_mut(size_of::<Owner>());
        person.copy_from_slice(&self.person);
        login.copy_from_slice(self.login.as_ref().unwrap_or(&NO_LOGIN));
        bytes
    }

    pub(super) fn decode(bytes: &Bytes) -> Self {
        let (head, owners) = bytes.split_at(6 * 8);
        let mut numbers = head.as_chunks().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let mut number = || numbers.next().unwrap_or_default();
        let owner = |bytes: &[u8]| {
            let mut owner = NO_LOGIN;
            owner.copy_from_slice(bytes);
            owner
        };
        let (person, login) = owners.split_at(size_of::<Owner>());
        let login = owner(login);
        Self {
            version: Version(number()),
            created_at: Timestamp::from_unix_millis(number()),
            expires_at: Timestamp::from_unix_millis(number()),
            last_seen: Timestamp::from_unix_millis(number()),
            due: Some(number())
                .filter(|due| *due != NEVER)
                .map(Timestamp::from_unix_millis),
            look_at: Timestamp::from_unix_millis(number()),
            person: owner(person),
            login: (login != NO_LOGIN).then_some(login),
        }
    }
}

/// An entry of a timeline: ordered by time.
pub(super) fn moment(at: Timestamp, key: &SessionKey) -> [u8; 40] {
    let mut entry = [0; 40];
    entry[..8].copy_from_slice(&at.unix_millis().to_be_bytes());
    entry[8..].copy_from_slice(key.as_bytes());
    entry
}

/// An entry of the index of owners: ordered by owner.
pub(super) fn owned(owner: &Owner, created_at: Timestamp, key: &SessionKey) -> [u8; 72] {
    let mut entry = [0; 72];
    entry[..32].copy_from_slice(owner);
    entry[32..].copy_from_slice(&moment(created_at, key));
    entry
}

/// The time and the key of a [`moment`].
pub(super) fn read_moment(entry: &[u8; 40]) -> (Timestamp, SessionKey) {
    let (mut at, mut key) = ([0; 8], [0; 32]);
    at.copy_from_slice(&entry[..8]);
    key.copy_from_slice(&entry[8..]);
    (
        Timestamp::from_unix_millis(u64::from_be_bytes(at)),
        SessionKey::from_bytes(key),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = Timestamp> {
        any::<u64>().prop_map(Timestamp::from_unix_millis)
    }

    proptest! {
        #[test]
        fn a_row_is_read_as_it_was_written(
            version: u64,
            times in [time(), time(), time(), time()],
            due in proptest::option::of((0..NEVER).prop_map(Timestamp::from_unix_millis)),
            person: Owner,
            login in proptest::option::of(proptest::array::uniform32(1_u8..)),
        ) {
            let [created_at, expires_at, last_seen, look_at] = times;
            let row = Row { version: Version(version), created_at, expires_at, last_seen, due, look_at, person, login };
            prop_assert_eq!(Row::decode(&row.encode()), row);
        }

        #[test]
        fn entries_are_ordered_by_time(one in time(), two in time(), keys: [[u8; 32]; 2]) {
            let [first, second] = keys.map(SessionKey::from_bytes);
            prop_assume!(one != two);
            prop_assert_eq!(moment(one, &first) < moment(two, &second), one < two);
            prop_assert_eq!(read_moment(&moment(one, &first)), (one, first));
        }
    }
}
