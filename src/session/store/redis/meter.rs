//! Rate limits of all replicas. Redis counts by its own clock.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{RedisStore, many::read, scripts};
use crate::shared::{Meter, SharedError, Taken};

impl Meter for RedisStore {
    fn take<'a>(
        &'a self,
        name: &'a str,
        interval: u64,
        tolerance: u64,
    ) -> BoxFuture<'a, Result<Taken, SharedError>> {
        let call = scripts::TAKE
            .call()
            .key(self.inner.names.limit(name))
            .arg(interval)
            .arg(tolerance);
        Box::pin(async move {
            let answer = self.inner.link.run(&call).await;
            let wait: i64 = read(answer.map_err(SharedError::from)?)?;
            let duration = Duration::from_micros(wait.unsigned_abs());
            Ok(if wait > 0 {
                Taken::Refused(duration)
            } else {
                Taken::Allowed(duration)
            })
        })
    }
}
