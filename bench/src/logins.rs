//! The cost of a whole login.

use std::{path::Path, time::Duration};

use devstack_idp::Person;

use super::{
    Result,
    idp::Provider,
    start::{Bff, Setup},
};

/// Logins before the measurement, so that keys are read and connections made.
const WARM_UP: usize = 10;

/// CPU time of one login, on average over `count` of them.
pub(super) async fn measure(
    setup: Setup,
    folder: &Path,
    provider: &Provider,
    upstream: u16,
    count: usize,
) -> Result<Duration> {
    let bff = Bff::start(setup, folder, provider, upstream).await?;
    let person = Person::new("ada", "ada")?;
    for _ in 0..WARM_UP {
        bff.log_in(&person).await?;
    }
    let before = bff.server.cpu()?;
    for _ in 0..count {
        bff.log_in(&person).await?;
    }
    let used = bff.server.cpu()?.saturating_sub(before);
    Ok(used / u32::try_from(count)?)
}
