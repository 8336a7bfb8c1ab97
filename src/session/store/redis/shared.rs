//! State that processes share beside sessions: records, their locks and the board.
//!
//! A record and its lock have one hash tag, and so has the whole board. Redis ends locks and notes by its own clock.

use std::time::Duration;

use futures_util::future::{self, BoxFuture};
use redis::{Cmd, cmd};

use super::{Inner, RedisStore, entry, failure::CallError, many::read, scripts};
use crate::shared::{Notes, Record, Shared, SharedError};

/// The next proof of room replaces the previous one, or it expires after this long.
const PROOF_STAYS: Duration = Duration::from_secs(1);

impl Shared for RedisStore {
    fn read(&self, record: Record) -> BoxFuture<'_, Result<Option<Vec<u8>>, SharedError>> {
        Box::pin(async move { Ok(self.inner.value(&self.inner.names.record(record)).await?) })
    }

    fn swap<'a>(
        &'a self,
        record: Record,
        expected: Option<&'a [u8]>,
        new: &'a [u8],
        holder: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        let names = &self.inner.names;
        let call = scripts::SWAP
            .call()
            .key(names.record(record))
            .key(names.lock(record))
            .arg(expected.unwrap_or_default().to_vec())
            .arg(new.to_vec())
            .arg(holder.unwrap_or_default());
        Box::pin(async move { Ok(self.inner.yes(&call).await?) })
    }

    fn hold<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        let call = scripts::HOLD
            .call()
            .key(self.inner.names.lock(record))
            .arg(holder)
            .arg(entry::length(lease));
        Box::pin(async move { Ok(self.inner.yes(&call).await?) })
    }

    fn prolong<'a>(
        &'a self,
        record: Record,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        let call = scripts::PROLONG
            .call()
            .key(self.inner.names.lock(record))
            .arg(holder)
            .arg(entry::length(lease));
        Box::pin(async move { Ok(self.inner.yes(&call).await?) })
    }

    fn let_go<'a>(&'a self, record: Record, holder: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        let lock = self.inner.names.lock(record);
        let call = scripts::LET_GO.call().key(lock).arg(holder);
        Box::pin(async move {
            self.inner.yes(&call).await?;
            Ok(())
        })
    }

    fn prove_room(&self, record: Record, length: usize) -> BoxFuture<'_, Result<(), SharedError>> {
        Box::pin(async move {
            let mut proof = cmd("SET");
            proof
                .arg(self.inner.names.proof(record))
                .arg(vec![b' '; length])
                .arg("PX")
                .arg(entry::length(PROOF_STAYS));
            Ok(self.inner.done(&proof).await?)
        })
    }

    fn post<'a>(
        &'a self,
        replica: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        Box::pin(async move {
            let names = &self.inner.names;
            let mut set = cmd("SET");
            set.arg(names.note(replica)).arg(note);
            set.arg("PX").arg(entry::length(keep));
            self.inner.done(&set).await?;
            Ok(self
                .inner
                .done(cmd("ZADD").arg(names.board()).arg(0).arg(replica))
                .await?)
        })
    }

    fn withdraw<'a>(&'a self, replica: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        Box::pin(async move {
            let names = &self.inner.names;
            self.inner.done(cmd("DEL").arg(names.note(replica))).await?;
            Ok(self.inner.forget(replica).await?)
        })
    }

    fn board(&self) -> BoxFuture<'_, Result<Notes, SharedError>> {
        Box::pin(async move {
            let inner = &*self.inner;
            let mut question = cmd("ZRANGE");
            question.arg(inner.names.board()).arg(0).arg(-1);
            let replicas: Vec<String> = read(inner.link.send(&question).await.map_err(SharedError::from)?)?;
            let names: Vec<String> = replicas.iter().map(|replica| inner.names.note(replica)).collect();
            let notes = future::try_join_all(names.iter().map(|name| inner.value(name))).await?;
            let mut board = Vec::new();
            for (replica, note) in replicas.into_iter().zip(notes) {
                match note {
                    Some(note) => board.push((replica, note)),
                    // One that died, or that comes back with its next note.
                    None => inner.forget(&replica).await?,
                }
            }
            Ok(board)
        })
    }

    fn time(&self) -> BoxFuture<'_, Result<Duration, SharedError>> {
        Box::pin(async move {
            let asked = self.inner.link.send_to_all(&cmd("TIME")).await;
            let mut times: Vec<(u64, u64)> = Vec::new();
            for answer in asked.map_err(CallError::from)? {
                times.push(read(answer)?);
            }
            // Of the nodes of a cluster one may be wrong.
            times.sort_unstable();
            let (seconds, micros) = *times.get(times.len() / 2).ok_or(CallError::Meaningless)?;
            Ok(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
        })
    }
}

// === impl Inner ===

impl Inner {
    pub(super) async fn value(&self, name: &str) -> Result<Option<Vec<u8>>, CallError> {
        read(self.link.send(cmd("GET").arg(name)).await?)
    }

    pub(super) async fn yes(&self, call: &scripts::Call) -> Result<bool, CallError> {
        read(self.link.run(call).await?)
    }

    pub(super) async fn done(&self, command: &Cmd) -> Result<(), CallError> {
        self.link.send(command).await.map(|_| ())
    }

    async fn forget(&self, replica: &str) -> Result<(), CallError> {
        self.done(cmd("ZREM").arg(self.names.board()).arg(replica)).await
    }
}

// === impl SharedError ===

impl From<CallError> for SharedError {
    fn from(error: CallError) -> Self {
        Self(error.to_string())
    }
}
