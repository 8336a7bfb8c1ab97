//! Operations on many sessions: the indexes.
//!
//! Questions to every shard go to all shards at once, in one round trip.

use std::{collections::HashMap, time::Duration};

use futures_util::future;
use redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value};

use super::{
    Inner,
    ended::End,
    entry,
    failure::CallError,
    names::{Shard, member, named},
    one::Only,
    scripts,
};
use crate::{
    clock::Timestamp,
    session::{
        EndReason, SessionKey,
        store::{Claim, Claimed, Listed, Part, StoreError, Usage, Whose},
    },
};

/// A name in an owner index whose session is missing is left for so long: the session may be on its way.
const ON_ITS_WAY: Duration = Duration::from_mins(10);

/// The maximum number of sessions of a shard to check, or of all to end again, before Redis may do other work.
const STRIDE: usize = 256;

/// The minimum number to check, if there are as many.
const MIN_STRIDE: usize = 16;

/// The minimum number of due sessions that a shard names. With this many, the 64 shards name some 40 in order.
const MIN_DUE_STRIDE: usize = 4;

/// A session in an index by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    key: SessionKey,
}

// === impl Inner ===

impl Inner {
    pub(super) async fn find(&self, whose: Whose<'_>) -> Result<Vec<Listed>, StoreError> {
        let owners: Vec<_> = self
            .seal
            .owners(whose)
            .map(|owner| entry::filed(&owner))
            .collect();
        let found = future::try_join_all(owners.into_iter().map(|owner| self.find_filed(owner))).await?;
        Ok(found.concat())
    }

    async fn find_filed(&self, owner: entry::Filed) -> Result<Vec<Listed>, CallError> {
        let index = self.names.owner(&owner);
        let mut question = cmd("ZRANGE");
        question.arg(&index).arg(0).arg(-1).arg("WITHSCORES");
        let filed = self.entries(&index, &question).await?;
        let states = future::try_join_all(filed.iter().map(|entry| self.state(&entry.key))).await?;
        let now = self.clock.now();
        let is_stale = |entry: &Entry, state: &[u8]| {
            state == b"T" || state.is_empty() && entry.at.saturating_add(ON_ITS_WAY) < now
        };
        let (stale, live): (Vec<_>, Vec<_>) = filed
            .into_iter()
            .zip(states)
            .partition(|(entry, state)| is_stale(entry, state));
        if !stale.is_empty() {
            // The next look-up finds them again where this fails.
            let _ = self
                .unfile(owner, stale.into_iter().map(|(entry, _)| entry.key))
                .await;
        }
        let live = live.into_iter().map(|(entry, _)| Listed {
            created_at: entry.at,
            key: entry.key,
        });
        Ok(live.collect())
    }

    /// The first byte of the existing part of a session.
    async fn state(&self, key: &SessionKey) -> Result<Vec<u8>, CallError> {
        let mut question = cmd("GETRANGE");
        question.arg(self.names.session(key)).arg(0).arg(0);
        match self.link.send(&question).await {
            Ok(answer) => read(answer),
            Err(CallError::WrongType) => Ok(b"?".to_vec()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn part(&self, part: Part) -> Result<Vec<SessionKey>, StoreError> {
        let index = self.names.ends(Shard::of_part(part));
        let mut question = cmd("ZRANGE");
        question.arg(&index).arg(0).arg(-1).arg("WITHSCORES");
        let entries = self.entries(&index, &question).await?;
        Ok(entries.into_iter().map(|entry| entry.key).collect())
    }

    pub(super) async fn claim_due(&self, limit: usize, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = Vec::new();
        loop {
            let wanted = limit - claimed.len();
            if wanted == 0 {
                return Ok(claimed);
            }
            // Each shard names few, because together they name far more than are wanted.
            let stride = (wanted / 16).max(MIN_DUE_STRIDE);
            let mut due = self
                .earliest(|shard| self.names.due(shard), |_| 0, stride)
                .await?;
            due.sort_unstable();
            let end = first_end(&due, stride);
            if let Some(end) = end {
                // The order of those that are due at the same time does not matter.
                let last = due[end].at;
                due.truncate(due.partition_point(|entry| entry.at <= last));
            }
            due.truncate(wanted);
            let claims = due.iter().map(|entry| self.claim(&entry.key, lease, Only::Due));
            let before = claimed.len();
            for claim in future::join_all(claims).await {
                // Another process may have been faster, and the session may be gone: then it is in the index no more.
                if let Claim::Claimed(session) = claim? {
                    claimed.push(session);
                }
            }
            // If none of the named sessions had an outcome, the next pass is early enough.
            if end.is_none() && due.len() < wanted || claimed.len() == before {
                return Ok(claimed);
            }
        }
    }

    pub(super) async fn overdue(&self, limit: usize) -> Result<Vec<SessionKey>, StoreError> {
        let stride = (limit / 4).clamp(MIN_STRIDE, STRIDE);
        let mut overdue: Vec<Entry> = Vec::new();
        // Those that have been found to be over stay in the index until they are removed.
        let mut passed = HashMap::<Shard, usize>::new();
        loop {
            let wanted = limit - overdue.len();
            if wanted == 0 {
                break;
            }
            let skipped = |shard| passed.get(&shard).copied().unwrap_or_default();
            let mut candidates = self
                .earliest(|shard| self.names.ends(shard), skipped, stride)
                .await?;
            let is_last = !is_any_full(&candidates, stride);
            // In the order of the index, so that the taken ones come before all others of their shards.
            candidates.sort_unstable();
            let mut over = self.look_at(&candidates).await?;
            let is_cut = over.len() > wanted;
            over.truncate(wanted);
            for entry in self.readable(over).await? {
                *passed.entry(Shard::of(&entry.key)).or_default() += 1;
                overdue.push(entry);
            }
            if is_last && !is_cut {
                break;
            }
        }
        overdue.sort_unstable();
        Ok(overdue.into_iter().map(|entry| entry.key).collect())
    }

    /// Which of these sessions are over, and since when, in the same order.
    async fn look_at(&self, candidates: &[Entry]) -> Result<Vec<Entry>, CallError> {
        let mut shards = HashMap::<Shard, Vec<SessionKey>>::new();
        for entry in candidates {
            shards.entry(Shard::of(&entry.key)).or_default().push(entry.key);
        }
        let looks = shards.iter().map(|(shard, keys)| self.look(*shard, keys));
        let over = future::try_join_all(looks).await?.concat();
        let over: HashMap<SessionKey, Entry> = over.into_iter().map(|entry| (entry.key, entry)).collect();
        let over = candidates
            .iter()
            .filter_map(|entry| over.get(&entry.key).copied());
        Ok(over.collect())
    }

    /// Which of these sessions of a shard are over, and since when.
    async fn look(&self, shard: Shard, keys: &[SessionKey]) -> Result<Vec<Entry>, CallError> {
        let mut call = scripts::LOOK
            .call()
            .key(self.names.ends(shard))
            .key(self.names.due(shard))
            .key(self.names.ends(shard))
            .arg(entry::millis(self.clock.now()))
            .arg(entry::length(self.lifespan.idle));
        for key in keys {
            call = call.key(self.names.session(key)).arg(member(key));
        }
        let ends: Vec<u64> = read(self.link.run(&call).await?)?;
        let over = keys.iter().zip(ends).filter(|(_, end)| *end > 0);
        let over = over.map(|(key, end)| Entry {
            at: Timestamp::from_unix_millis(end),
            key: *key,
        });
        Ok(over.collect())
    }

    /// Those of these sessions that can be read. The others have no caller who could end them, and end here.
    async fn readable(&self, over: Vec<Entry>) -> Result<Vec<Entry>, StoreError> {
        let sessions = future::try_join_all(over.iter().map(|entry| self.get(&entry.key))).await?;
        let (readable, others): (Vec<_>, Vec<_>) = over
            .into_iter()
            .zip(sessions)
            .partition(|(_, session)| session.is_some());
        let removals = others
            .iter()
            .map(|(entry, _)| self.remove(&entry.key, EndReason::Lifetime));
        future::try_join_all(removals).await?;
        Ok(readable.into_iter().map(|(entry, _)| entry).collect())
    }

    pub(super) async fn usage(&self) -> Result<Usage, StoreError> {
        let now = self.clock.now();
        if let Some(sessions) = self.count.recent(now) {
            return Ok(Usage { sessions, memory: 0 });
        }
        let counting = self.count.begin();
        let counts = Shard::all().map(async |shard| {
            let mut question = cmd("ZCARD");
            question.arg(self.names.ends(shard));
            read::<usize>(self.link.send(&question).await?)
        });
        let found = future::try_join_all(counts).await?.into_iter().sum();
        let sessions = counting.finish(now, found);
        Ok(Usage { sessions, memory: 0 })
    }

    /// Ends again the sessions that have ended as far as this process knows, and returns how many had come back.
    pub(super) async fn bury(&self) -> Result<usize, CallError> {
        let now = self.clock.now();
        let mut back = 0;
        for some in self.ended.current(now).chunks(STRIDE) {
            let buried = some.iter().map(|(key, end)| self.bury_one(key, *end, now));
            back += future::try_join_all(buried).await?.into_iter().sum::<usize>();
        }
        Ok(back)
    }

    pub(super) async fn bury_one(
        &self,
        key: &SessionKey,
        end: End,
        now: Timestamp,
    ) -> Result<usize, CallError> {
        let call = scripts::BURY
            .about(&self.names, key)
            .arg(entry::length(end.latest.duration_since(now)).max(1))
            .arg(end.why.as_str())
            .arg(entry::millis(end.latest))
            .arg(self.process.as_str())
            .arg(self.names.channel());
        read(self.link.run(&call).await?)
    }

    /// Up to `most` sessions of each shard whose time in an index has come, after the first `skipped` ones there.
    async fn earliest(
        &self,
        index: impl Fn(Shard) -> String,
        skipped: impl Fn(Shard) -> usize,
        most: usize,
    ) -> Result<Vec<Entry>, CallError> {
        let now = entry::millis(self.clock.now());
        let answers = Shard::all().map(|shard| {
            let index = index(shard);
            let mut question = cmd("ZRANGE");
            question.arg(&index).arg("-inf").arg(now).arg("BYSCORE");
            question
                .arg("LIMIT")
                .arg(skipped(shard))
                .arg(most)
                .arg("WITHSCORES");
            async move { self.entries(&index, &question).await }
        });
        Ok(future::try_join_all(answers).await?.concat())
    }

    /// The entries of an index that the question concerns. An entry that is not the name of a session leaves the
    /// index; otherwise it would block others for ever.
    async fn entries(&self, index: &str, question: &Cmd) -> Result<Vec<Entry>, CallError> {
        loop {
            let pairs: Vec<(Vec<u8>, f64)> = read(self.link.send(question).await?)?;
            let mut entries = Vec::with_capacity(pairs.len());
            let mut foreign = Vec::new();
            for (name, at) in pairs {
                match named(&name) {
                    Some(key) => entries.push(Entry { at: time(at), key }),
                    None => foreign.push(name),
                }
            }
            if foreign.is_empty() {
                return Ok(entries);
            }
            let mut removal = cmd("ZREM");
            removal.arg(index).arg(foreign);
            self.link.send(&removal).await?;
        }
    }
}

/// Whether a shard has as many entries as requested, so that it may have more.
fn is_any_full(entries: &[Entry], most: usize) -> bool {
    first_end(entries, most).is_some()
}

/// Where, in these sorted entries, a shard comes to the end of the `most` that it named. It may have more of them, which come
/// before those that follow here.
fn first_end(entries: &[Entry], most: usize) -> Option<usize> {
    let mut counts = HashMap::<Shard, usize>::new();
    entries.iter().position(|entry| {
        let count = counts.entry(Shard::of(&entry.key)).or_default();
        *count += 1;
        *count >= most
    })
}

/// A score as a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "scores are whole numbers of milliseconds, and a cast of anything else is the nearest of them"
)]
fn time(score: f64) -> Timestamp {
    Timestamp::from_unix_millis(score as u64)
}

pub(super) fn read<T: FromRedisValue>(answer: Value) -> Result<T, CallError> {
    from_redis_value(answer).map_err(|_| CallError::Meaningless)
}
