//! One-time events, for all processes that share a Redis.
//!
//! Redis forgets by its own clock. An id, unlike a session, needs no exact end.

use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::{Value, cmd};

use super::{RedisStore, entry, failure::CallError};
use crate::{
    random::RandomExt as _,
    session::{Once, StoreError, once::digest_of},
};

/// Redis takes no shorter time.
const SHORTEST: Duration = Duration::from_millis(1);

impl Once for RedisStore {
    fn first<'a>(&'a self, id: &'a [u8], keep: Duration) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let name = self.inner.names.once(&digest_of(id));
            let mark = self.inner.random.base64url::<16>();
            let mut note = cmd("SET");
            note.arg(&name).arg(&mark).arg("NX");
            note.arg("PX").arg(entry::length(keep.max(SHORTEST)));
            match self.inner.link.send(&note).await? {
                Value::Okay => Ok(true),
                // The very note may have arrived before, and its answer was lost.
                Value::Nil => {
                    let known = self.inner.link.send(cmd("GET").arg(&name)).await?;
                    Ok(known == Value::BulkString(mark.into_bytes()))
                }
                _ => Err(CallError::Meaningless)?,
            }
        })
    }

    fn forget<'a>(&'a self, id: &'a [u8]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let name = self.inner.names.once(&digest_of(id));
            self.inner.link.send(cmd("DEL").arg(name)).await?;
            Ok(())
        })
    }
}
