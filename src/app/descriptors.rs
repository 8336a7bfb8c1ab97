//! The limit of open files, compared with the connections that the server is to accept.

use std::fmt;

use super::settings;
use crate::{
    config::Config,
    diagnostic::{Explain, Fix, Knob, fix},
    server::Budget,
};

/// The limit of open files leaves room for too few connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FewFiles {
    /// The limit.
    pub open_files: u64,
    /// The connections of clients for which it has room.
    pub connections: usize,
    /// The configured number of connections, which is larger.
    wish: Option<usize>,
    /// The least limit that is enough.
    needed: u64,
}

/// Whether `open_files` is too low a limit.
#[must_use]
pub fn few_files(config: &Config, open_files: u64) -> Option<FewFiles> {
    let wishes = settings::wishes(config);
    let budget = Budget::new(open_files, wishes);
    budget.is_short.then(|| FewFiles {
        open_files,
        connections: budget.public,
        wish: wishes.connections,
        needed: Budget::needed(wishes),
    })
}

// === impl FewFiles ===

impl fmt::Display for FewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the limit of open files leaves room for few connections: {} files are enough for {} clients",
            self.open_files, self.connections
        )?;
        match self.wish {
            Some(wish) => write!(f, ", and {wish} are configured"),
            None => Ok(()),
        }
    }
}

impl Explain for FewFiles {
    fn fix(&self) -> Option<Fix> {
        let raise = fix!(
            "raise the hard limit to {} (`ulimits: nofile` of a compose file, `LimitNOFILE` of the systemd unit, `ulimit -Hn` of a \
             shell)",
            self.needed.to_string()
        );
        Some(match self.wish {
            Some(_) => fix!("{}, or lower {}", raise, Knob::MaxConnections),
            None => raise,
        })
    }
}
