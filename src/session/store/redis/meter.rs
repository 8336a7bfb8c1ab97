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
            let wait: u64 = read(answer.map_err(SharedError::from)?)?;
            Ok(match wait {
                0 => Taken::Allowed,
                wait => Taken::Refused(Duration::from_micros(wait)),
            })
        })
    }
}
