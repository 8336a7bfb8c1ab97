//! Why sessions cannot be kept in a Redis, with what to do about it.

use crate::diagnostic::{Explain, Explained, Fix, Knob, fix};

/// Why sessions cannot be kept in this Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisStartError {
    /// Nothing answers.
    #[error("Redis at {hosts} cannot be reached: {cause}")]
    Unreachable {
        /// Host and port.
        hosts: String,
        /// Why, in our own words.
        cause: String,
    },
    /// TLS does not come about.
    #[error("no TLS with Redis at {hosts}: {why}")]
    Tls {
        /// Host and port.
        hosts: String,
        /// The problem, with its fix.
        why: Explained,
    },
    /// No password was given.
    #[error("Redis at {hosts} wants a password")]
    PasswordNeeded {
        /// Host and port.
        hosts: String,
        /// The form of a URL with one.
        form: String,
    },
    /// User or password are wrong.
    #[error("Redis at {hosts} does not take the user and the password that it is given")]
    PasswordWrong {
        /// Host and port.
        hosts: String,
    },
    /// A command is not permitted.
    #[error("the Redis user may not run {command}")]
    CommandNotPermitted {
        /// Its name.
        command: String,
    },
    /// The keys are not permitted.
    #[error("the Redis user may not use the keys {prefix}:*")]
    KeysNotPermitted {
        /// Their prefix.
        prefix: String,
    },
    /// The channel is not permitted.
    #[error("the Redis user may not use the channel {channel}")]
    ChannelNotPermitted {
        /// Its name.
        channel: String,
    },
    /// It only copies another server.
    #[error("Redis at {hosts} is a replica, to which nothing can be written")]
    Replica {
        /// Host and port.
        hosts: String,
        /// The form of a URL of sentinels.
        form: String,
    },
    /// It throws sessions away.
    #[error(
        "Redis at {hosts} evicts keys when it is full (maxmemory-policy {policy}), and people would be logged out without a \
         reason"
    )]
    Evicts {
        /// Host and port.
        hosts: String,
        /// Its policy.
        policy: String,
    },
    /// It is too old.
    #[error("Redis at {hosts} is version {version}, and 6.2 is the oldest that has what is needed")]
    Old {
        /// Host and port.
        hosts: String,
        /// Its version.
        version: String,
    },
    /// The sentinels do not know the primary.
    #[error("the sentinels at {hosts} know no primary called {primary}")]
    NoPrimary {
        /// Host and port of each.
        hosts: String,
        /// The name.
        primary: String,
    },
    /// It is a server of another kind than the URL says.
    #[error("the server at {hosts} is {kind}")]
    Kind {
        /// Host and port.
        hosts: String,
        /// Its kind.
        kind: &'static str,
        /// The form of the URL that fits.
        form: String,
    },
    /// It is another server, or a Redis that only accepts TLS.
    #[error("the server at {hosts} does not speak Redis")]
    NotRedis {
        /// Host and port.
        hosts: String,
    },
    /// It has only just started.
    #[error("Redis at {hosts} is still loading its data")]
    Loading {
        /// Host and port.
        hosts: String,
    },
    /// It accepts only connections from its own machine.
    #[error("Redis at {hosts} is in protected mode, in which only its own machine may use it")]
    Protected {
        /// Host and port.
        hosts: String,
    },
    /// The database does not exist or is not permitted.
    #[error("Redis at {hosts} does not let this server use the configured database")]
    Database {
        /// Host and port.
        hosts: String,
    },
    /// Anything else.
    #[error("Redis at {hosts} refused {what} ({code})")]
    Refused {
        /// Host and port.
        hosts: String,
        /// The command.
        what: String,
        /// The code of its answer.
        code: String,
    },
}

// === impl RedisStartError ===

impl RedisStartError {
    /// Whether it may pass by itself: a starting server, or a primary that is being replaced.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Loading { .. } | Self::NoPrimary { .. } | Self::Replica { .. }
        )
    }
}

impl Explain for RedisStartError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::Unreachable { .. } => fix!(
                "correct host and port in {}, or start Redis there; write rediss:// where it takes TLS alone, and redis:// where it \
                 takes none",
                Knob::Redis
            ),
            Self::Tls { why, .. } => return why.fix(),
            Self::PasswordNeeded { form, .. } => fix!("write it into {} ({})", Knob::Redis, form.clone()),
            Self::PasswordWrong { .. } => fix!(
                "correct them in {}, or set them in Redis (`requirepass`, `ACL SETUSER`)",
                Knob::Redis
            ),
            Self::CommandNotPermitted { .. } => fix!("grant it with the ACL rule in docs/redis.md"),
            Self::KeysNotPermitted { prefix } => fix!(
                "grant them with the ACL rule in docs/redis.md (~{}:*)",
                prefix.clone()
            ),
            Self::ChannelNotPermitted { channel } => fix!(
                "grant it with the ACL rule in docs/redis.md (&{})",
                channel.clone()
            ),
            Self::Replica { form, .. } => fix!(
                "name the primary in {}, or the sentinels ({})",
                Knob::Redis,
                form.clone()
            ),
            Self::Evicts { .. } => fix!("set `maxmemory-policy noeviction`"),
            Self::Old { .. } => fix!("update it"),
            Self::NoPrimary { .. } => fix!(
                "write the name from `sentinel monitor` behind the hosts in {}",
                Knob::Redis
            ),
            Self::Kind { form, .. } => fix!("write {} in {}", form.clone(), Knob::Redis),
            Self::NotRedis { .. } => fix!(
                "correct host and port in {}; write rediss:// where it takes TLS alone",
                Knob::Redis
            ),
            Self::Loading { .. } => {
                fix!("start this server when it is done (`redis-cli PING` says PONG then)")
            }
            Self::Protected { .. } => fix!(
                "give it a password (`requirepass` or `ACL SETUSER`) and write that into {}",
                Knob::Redis
            ),
            Self::Database { .. } => fix!(
                "leave it out of {}, raise `databases`, or add `+select` to the rule of its ACL user",
                Knob::Redis
            ),
            Self::Refused { .. } => fix!("see in its log why"),
        })
    }
}
