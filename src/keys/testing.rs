//! Keys for tests.

use super::{Keeper, Keys, KeysError, Options, Policy, Rotation, Warning};
use crate::clock::Timestamp;

/// The keys of a server that starts on this folder for the first time; its keyring is thrown away.
pub(crate) fn load(options: &Options) -> Result<(Keys, Vec<Warning>), KeysError> {
    let state = tempfile::tempdir().unwrap();
    let rotation = Rotation {
        state_dir: state.path().to_owned(),
        policy: Policy::default(),
        algorithm: None,
    };
    let (_, keys, warnings) = Keeper::open(
        options.clone(),
        rotation,
        Timestamp::from_unix_seconds(1_800_000_000),
    )?;
    Ok((keys, warnings))
}
