//! The limit of open files, which is a limit of connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit is raised up to this. No more connections are served anyway, and some systems say "unlimited".
const ENOUGH: u64 = 1 << 20;

/// The limit cannot be raised.
#[derive(Debug, thiserror::Error)]
#[error("the limit of open files cannot be raised from {from} to {to}: {cause}")]
pub struct LimitError {
    from: u64,
    to: u64,
    cause: std::io::Error,
}

/// How many files and connections this process may have open.
#[must_use]
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH)
}

/// How many files and connections a server may have open that is started with the limits of this process.
#[must_use]
pub fn open_files_of_a_start() -> u64 {
    getrlimit(Resource::Nofile)
        .maximum
        .unwrap_or(ENOUGH)
        .min(ENOUGH)
        .max(open_files())
}

/// Raises the soft limit of open files to the hard one. Shells and service managers often leave the soft limit at 1,024
/// for the sake of programs that use `select`.
///
/// # Errors
///
/// [`LimitError`] if the system refuses. The limit is then unchanged.
pub fn raise_open_files() -> Result<(), LimitError> {
    let limit = getrlimit(Resource::Nofile);
    let from = limit.current.unwrap_or(u64::MAX);
    let to = limit.maximum.unwrap_or(u64::MAX).min(ENOUGH);
    if from >= to {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(to),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|cause| LimitError {
        from,
        to,
        cause: cause.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise_open_files().unwrap();
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(ENOUGH);
        assert!(open_files() >= hard.min(ENOUGH));
        // A repetition changes nothing.
        raise_open_files().unwrap();
    }
}
