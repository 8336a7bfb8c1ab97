//! Operations on one session: one script and one round trip each, and before a new session the indexes of its owners.

use std::{sync::Arc, time::Duration};

use futures_util::future;
use redis::{Value, cmd};

use super::{
    Inner,
    ended::End,
    entry::{self, Found, Head, Packed},
    failure::CallError,
    names::member,
    scripts::{self, Call},
};
use crate::{
    clock::Timestamp,
    random::RandomExt as _,
    session::{
        EndReason, Session, SessionKey,
        store::{
            Claim, Claimed, Due, InsertError, Lease, NewSession, ReplaceError, StoreError, Stored,
            UNREADABLE_AGAIN, Version, Whose,
        },
    },
};

/// Redis keeps a session this long beyond its end, for the case that all servers are down at its end.
const KEPT_BEYOND_END: Duration = Duration::from_hours(24);

/// Redis keeps the last state of a session this long after its removal, so that a lost answer can be repeated: it is
/// the only copy of the tokens to revoke. Longer than a call with all its attempts.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Which sessions are claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// Those that are due.
    Due,
    /// Any request.
    Named,
}

// === impl Inner ===

impl Inner {
    pub(super) async fn insert(&self, new: NewSession) -> Result<Version, InsertError> {
        let NewSession {
            key,
            session,
            due,
            last_seen,
        } = new;
        let now = self.clock.now();
        let head = Head {
            version: Version::FIRST,
            last_seen,
            created_at: session.created_at,
            ends: self.lifespan.absolute_end_of(&session),
            due: due.after(None),
            held_until: Timestamp::EPOCH,
            person: entry::filed(&self.seal.owner(Whose::person(&session))),
            login: Whose::login(&session).map(|login| entry::filed(&self.seal.owner(login))),
        };
        let sealed = self.seal.seal(&key, &session)?;
        // First, so that no look-up misses an existing session.
        future::try_join_all(head.owners().map(|owner| self.file(&key, &head, owner))).await?;
        let call = scripts::INSERT
            .about(&self.names, &key)
            .arg(head.join(&sealed))
            .arg(kept_for(head.ends, now))
            .arg(entry::millis(self.lifespan.end_of(&session, last_seen)))
            .arg(entry::due_millis(head.due));
        match self.link.run(&call).await? {
            Value::Int(1) => {
                self.count.stored();
                Ok(head.version)
            }
            Value::Int(0) => Err(InsertError::Taken),
            _ => Err(CallError::Meaningless)?,
        }
    }

    async fn file(&self, key: &SessionKey, head: &Head, owner: entry::Filed) -> Result<Value, CallError> {
        let call = scripts::FILE
            .call()
            .key(self.names.owner(&owner))
            .arg(member(key))
            .arg(entry::millis(head.created_at))
            .arg(entry::length(
                self.lifespan.lifetime.saturating_add(KEPT_BEYOND_END),
            ));
        self.link.run(&call).await
    }

    pub(super) async fn get(&self, key: &SessionKey) -> Result<Option<Stored>, StoreError> {
        if self.ended.contains(key) {
            return Ok(None);
        }
        let mut question = cmd("GET");
        question.arg(self.names.session(key));
        let value = match self.link.send(&question).await {
            Ok(Value::BulkString(value)) => value,
            Ok(Value::Nil) => return Ok(None),
            Err(CallError::WrongType) => return Ok(self.seal.open(key, b"").and(None)),
            Ok(_) => Err(CallError::Meaningless)?,
            Err(error) => Err(error)?,
        };
        Ok(self.read(key, &value).map(|(_, stored)| stored))
    }

    pub(super) async fn replace(
        &self,
        key: &SessionKey,
        expected: Version,
        session: &Session,
        due: Due,
        completes: Option<&Lease>,
    ) -> Result<Version, ReplaceError> {
        if self.ended.contains(key) {
            return Err(ReplaceError::Gone);
        }
        let (version, ends) = (expected.next(), self.lifespan.absolute_end_of(session));
        let call = scripts::REPLACE
            .about(&self.names, key)
            .arg(entry::packed_version(expected))
            .arg(entry::packed_version(version))
            .arg(entry::packed(ends))
            .arg(packed_due(due))
            .arg(self.seal.seal(key, session)?)
            .arg(kept_for(ends, self.clock.now()))
            .arg(self.process.as_str())
            .arg(self.names.channel())
            .arg(completes.map_or_else(Vec::new, |lease| lease.number.to_be_bytes().to_vec()));
        match self.change(key, &call).await? {
            Value::Int(1) => Ok(version),
            Value::Int(0) => Err(ReplaceError::Conflict),
            Value::Int(-1) => Err(ReplaceError::Gone),
            _ => Err(CallError::Meaningless)?,
        }
    }

    pub(super) async fn touch(&self, key: &SessionKey, at: Timestamp) -> Result<(), StoreError> {
        let call = scripts::TOUCH
            .about(&self.names, key)
            .arg(entry::millis(at))
            .arg(entry::packed(at));
        self.link.run(&call).await?;
        Ok(())
    }

    pub(super) async fn remove(
        &self,
        key: &SessionKey,
        why: EndReason,
    ) -> Result<Option<Arc<Session>>, StoreError> {
        let (begun, now) = (self.count.moment(), self.clock.now());
        let is_back = self.ended.contains(key);
        let call = scripts::REMOVE
            .about(&self.names, key)
            .arg(entry::millis(now))
            .arg(entry::length(self.lifespan.lifetime))
            .arg(why.as_str())
            .arg(self.process.as_str())
            .arg(self.names.channel())
            .arg(self.random.bytes())
            .arg(entry::length(REMEMBERED))
            .key(self.names.last(key));
        let value = match self.change(key, &call).await? {
            Value::BulkString(value) => value,
            Value::Nil => return Ok(None),
            _ => Err(CallError::Meaningless)?,
        };
        self.count.removed(begun);
        let found = Found::parse(&value);
        let latest = match &found {
            Found::Session(head, _) => head.ends,
            Found::Nothing | Found::Foreign => now.saturating_add(self.lifespan.lifetime),
        };
        self.ended.note(*key, End { why, latest });
        let Found::Session(head, sealed) = found else {
            return Ok(self.seal.open(key, b""));
        };
        // If this fails, the index names a removed session, and a look-up finds that out.
        let unfiled = head.owners().map(|owner| self.unfile(owner, [*key]));
        let _ = future::join_all(unfiled).await;
        // One that came back with an older copy of Redis has been handed out before.
        Ok(if is_back {
            None
        } else {
            self.seal.open(key, sealed)
        })
    }

    /// Changes the session. Where no answer came, it may change later, and the message of that counts.
    async fn change(&self, key: &SessionKey, call: &Call) -> Result<Value, CallError> {
        let answer = self.link.run(call).await;
        if let Err(CallError::Unreachable(_) | CallError::Slow) = answer {
            self.unsure.note(key);
        }
        answer
    }

    /// Takes sessions out of the index of an owner.
    pub(super) async fn unfile(
        &self,
        owner: entry::Filed,
        keys: impl IntoIterator<Item = SessionKey>,
    ) -> Result<Value, CallError> {
        let mut removal = cmd("ZREM");
        removal.arg(self.names.owner(&owner));
        for key in keys {
            removal.arg(member(&key));
        }
        self.link.send(&removal).await
    }

    pub(super) async fn claim(
        &self,
        key: &SessionKey,
        lease: Duration,
        only: Only,
    ) -> Result<Claim, StoreError> {
        let now = self.clock.now();
        if let Some(end) = self.ended.get(key) {
            // Otherwise a restored one would be named again and again.
            self.bury_one(key, end, now).await?;
            return Ok(Claim::Gone);
        }
        let number: Packed = self.random.bytes();
        // A lease that is over at once would be handed out again by the same call.
        let until = now.saturating_add(lease.max(Duration::from_millis(1)));
        let call = scripts::CLAIM
            .about(&self.names, key)
            .arg(entry::millis(now))
            .arg([number, entry::packed(until)].concat())
            .arg(entry::millis(until))
            .arg(if only == Only::Due { "due" } else { "" });
        let (value, is_ours) = match self.link.run(&call).await? {
            Value::Nil => return Ok(Claim::Gone),
            Value::Array(parts) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::BulkString(value), Value::Int(ours)]) => (value, ours == 1),
                _ => Err(CallError::Meaningless)?,
            },
            _ => Err(CallError::Meaningless)?,
        };
        let number = u64::from_be_bytes(number);
        let lease = Lease {
            key: *key,
            number,
            since: now,
        };
        match self.read(key, &value) {
            Some((head, stored)) if is_ours => Ok(Claim::Claimed(Claimed {
                lease,
                stored,
                // A lease that was given back has no end.
                taken_over: head.held_until != Timestamp::EPOCH && head.held_until <= now,
            })),
            Some((head, stored)) => Ok(Claim::Held(stored, head.held_until.duration_since(now))),
            None => {
                if is_ours {
                    // Otherwise it would be named again each time.
                    let later = now.saturating_add(UNREADABLE_AGAIN);
                    self.release(lease, Due::At(later)).await?;
                }
                Ok(Claim::Gone)
            }
        }
    }

    pub(super) async fn extend(&self, lease: &Lease, duration: Duration) -> Result<bool, StoreError> {
        let until = self.clock.now().saturating_add(duration);
        let call = scripts::EXTEND
            .about(&self.names, &lease.key)
            .arg(lease.number.to_be_bytes())
            .arg(entry::packed(until))
            .arg(entry::millis(until));
        let held = self.link.run(&call).await?;
        Ok(held == Value::Int(1))
    }

    pub(super) async fn release(&self, lease: Lease, due: Due) -> Result<(), StoreError> {
        let call = scripts::RELEASE
            .about(&self.names, &lease.key)
            .arg(lease.number.to_be_bytes())
            .arg(packed_due(due))
            .arg(self.process.as_str())
            .arg(self.names.channel());
        self.link.run(&call).await?;
        Ok(())
    }

    /// The session of a value. `None`, with one log line, if it is unreadable.
    fn read(&self, key: &SessionKey, value: &[u8]) -> Option<(Head, Stored)> {
        let (head, sealed) = match Found::parse(value) {
            Found::Nothing => return None,
            Found::Session(head, sealed) => (head, sealed),
            Found::Foreign => {
                self.seal.open(key, b"");
                return None;
            }
        };
        let stored = Stored {
            session: self.seal.open(key, sealed)?,
            version: head.version,
            last_seen: head.last_seen,
        };
        Some((head, stored))
    }
}

/// How long Redis keeps a session. Only so that nothing is left for ever: when it ends is decided by our clock.
fn kept_for(ends: Timestamp, now: Timestamp) -> u64 {
    entry::length(ends.duration_since(now).saturating_add(KEPT_BEYOND_END))
}

/// The form of a due time for a script: nothing if it does not change.
fn packed_due(due: Due) -> Vec<u8> {
    match due {
        Due::At(time) => entry::packed_due(Some(time)).to_vec(),
        Due::Never => entry::packed_due(None).to_vec(),
        Due::Unchanged => Vec::new(),
    }
}
