//! How the files that a process may open are shared out, so that connections of clients leave enough for everything
//! else: the calls that serve them, the internal listener, probes.

/// Files, pipes and listeners of our own.
const OWN_FILES: usize = 64;

/// Places beyond the cap of a listener, for probes and for saying no.
pub(super) const KEPT_BACK: usize = 32;

/// The internal listener has at most this many.
const MAX_INTERNAL: usize = 1_024;

/// The server accepts more connections only if the configuration says so.
const USUAL: usize = 10_000;

/// Fewer connections than this do not make a usable server. If the limit leaves fewer, the server warns.
const LEAST: usize = 16;

/// Below this a warning says that the limit of open files is low.
const COMFORTABLE: usize = 256;

/// The configured numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// `MAX_CONNECTIONS`.
    pub connections: Option<usize>,
    /// `MAX_CONNECTIONS_PER_ADDRESS`.
    pub per_address: Option<usize>,
    /// The maximum number of concurrent calls to the IdP.
    pub outbound: usize,
}

/// Who may have how many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// On the public listener. As many again are left for calls to the APIs.
    pub public: usize,
    /// On the public listener, per address that is not a listed proxy.
    pub per_address: usize,
    /// On the internal listener.
    pub internal: usize,
    /// Whether the limit of open files, and not the wish, decided.
    pub is_short: bool,
}

// === impl Budget ===

impl Budget {
    /// The least number of open files with which the wish can be met; without a wish, with which the server is
    /// comfortable.
    #[must_use]
    pub fn needed(wishes: Wishes) -> u64 {
        let connections = wishes.connections.unwrap_or(COMFORTABLE).max(LEAST);
        let all = 2 * connections + OWN_FILES + wishes.outbound + 2 * KEPT_BACK;
        // An eighth is for the internal listener.
        let files = (all * 8).div_ceil(7).min(all + MAX_INTERNAL);
        u64::try_from(files).unwrap_or(u64::MAX)
    }

    /// Shares out `open_files`.
    #[must_use]
    pub fn new(open_files: u64, wishes: Wishes) -> Self {
        let files = usize::try_from(open_files).unwrap_or(usize::MAX);
        let internal = (files / 8).min(MAX_INTERNAL);
        let reserve = OWN_FILES + wishes.outbound + 2 * KEPT_BACK + internal;
        // Each call of a client may need one to an API.
        let possible = (files.saturating_sub(reserve) / 2).max(LEAST);
        let public = wishes.connections.unwrap_or(USUAL).clamp(LEAST, possible);
        let is_short = match wishes.connections {
            Some(wish) => wish > possible,
            None => possible < COMFORTABLE,
        };
        Self {
            public,
            per_address: wishes.per_address.unwrap_or(public / 4).clamp(1, public),
            internal: internal.max(LEAST),
            is_short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_WISH: Wishes = Wishes {
        connections: None,
        per_address: None,
        outbound: 100,
    };

    #[test]
    fn attack_37_what_is_shared_out_is_never_more_than_there_is() {
        for files in [512, 1_024, 4_096, 20_000, 65_536, 1 << 20] {
            for connections in [None, Some(1), Some(300), Some(50_000)] {
                let wishes = Wishes {
                    connections,
                    ..NO_WISH
                };
                let budget = Budget::new(files, wishes);
                let used = 2 * budget.public + budget.internal + 2 * KEPT_BACK + 100 + OWN_FILES;
                assert!(
                    used as u64 <= files || budget.public == LEAST,
                    "{files} {connections:?}: {budget:?}"
                );
                assert!(budget.per_address <= budget.public && budget.per_address >= 1);
            }
        }
    }

    #[test]
    fn what_is_needed_is_enough_and_not_much_less_is() {
        for connections in [None, Some(1), Some(300), Some(5_000), Some(100_000)] {
            let wishes = Wishes {
                connections,
                ..NO_WISH
            };
            let needed = Budget::needed(wishes);
            assert!(!Budget::new(needed, wishes).is_short, "{connections:?}");
            // Fewer than the least connections are never short.
            if connections != Some(1) {
                assert!(Budget::new(needed - 4, wishes).is_short, "{connections:?}");
            }
        }
    }

    #[test]
    fn a_wish_counts_as_far_as_it_can_be_met() {
        let wish = |connections| Wishes {
            connections: Some(connections),
            ..NO_WISH
        };
        let met = Budget::new(20_000, wish(500));
        assert_eq!((met.public, met.per_address, met.is_short), (500, 125, false));
        let unmet = Budget::new(1_024, wish(5_000));
        assert!(unmet.public < 500 && unmet.is_short, "{unmet:?}");
        assert!(Budget::new(1_024, NO_WISH).public >= 256);
        assert!(Budget::new(256, NO_WISH).is_short);
        assert_eq!(Budget::new(1 << 20, NO_WISH).public, USUAL);
    }
}
