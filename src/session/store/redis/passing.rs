//! Data that processes share for some minutes. Redis forgets it by its own clock.

use std::time::Duration;

use futures_util::future::BoxFuture;
use redis::cmd;

use super::{RedisStore, entry, many::read, scripts};
use crate::shared::{Passing, SharedError};

impl Passing for RedisStore {
    fn put_first<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<bool, SharedError>> {
        // The lock of a record is nothing else.
        let call = scripts::HOLD
            .call()
            .key(self.inner.names.passing(name))
            .arg(value.to_vec())
            .arg(entry::length(keep));
        Box::pin(async move { Ok(self.inner.yes(&call).await?) })
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        Box::pin(async move {
            let mut set = cmd("SET");
            set.arg(self.inner.names.passing(name)).arg(value);
            Ok(self.inner.done(set.arg("PX").arg(entry::length(keep))).await?)
        })
    }

    fn fetch<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, SharedError>> {
        Box::pin(async move { Ok(self.inner.value(&self.inner.names.passing(name)).await?) })
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), SharedError>> {
        Box::pin(async move {
            let name = self.inner.names.passing(name);
            Ok(self.inner.done(cmd("DEL").arg(name)).await?)
        })
    }

    fn add<'a>(
        &'a self,
        name: &'a str,
        note: &'a [u8],
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), SharedError>> {
        Box::pin(async move {
            let name = self.inner.names.notes(name);
            self.inner.done(cmd("ZADD").arg(&name).arg(0).arg(note)).await?;
            Ok(self
                .inner
                .done(cmd("PEXPIRE").arg(&name).arg(entry::length(keep)))
                .await?)
        })
    }

    fn all<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<Vec<u8>>, SharedError>> {
        Box::pin(async move {
            let mut question = cmd("ZRANGE");
            question.arg(self.inner.names.notes(name)).arg(0).arg(-1);
            let answer = self.inner.link.send(&question).await;
            Ok(read(answer.map_err(SharedError::from)?)?)
        })
    }
}
