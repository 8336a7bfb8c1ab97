//! The failures of a call, in our own words: an answer of Redis may repeat what we sent.

use std::{error::Error, sync::Arc};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use super::{
    super::{InsertError, ReplaceError, StoreError},
    texts::says,
};
use crate::outage::{Outage, chain};

/// The meaning of an error for the call and for the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Redis has not executed it, and may do so in a moment: slots move, another primary takes over, data is being
    /// loaded.
    NotNow,
    /// The answering server has become a replica: the primary is elsewhere.
    NotHere,
    /// This node has not executed it. The node with this host and port will, if asked in a certain way.
    Ask(String, u16),
    /// The connection is lost, and with it the outcome of the call.
    Lost,
    /// Nothing has come back in time.
    Slow,
    /// Redis does not know the script.
    NoScript,
    /// Anything else.
    Refused,
}

/// Why Redis did not execute a request. Contains nothing of a session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    #[error("Redis did not answer in time")]
    Slow,
    #[error("Redis is out of memory: raise its maxmemory, or allow fewer sessions")]
    OutOfMemory,
    #[error("Redis does not accept user and password (any more)")]
    Login,
    #[error("Redis refused a command: {0}")]
    Refused(String),
    #[error("Redis holds something of another type under the name of a session")]
    WrongType,
    #[error("Redis gave an answer that means nothing here")]
    Meaningless,
}

// === impl Trouble ===

impl Trouble {
    pub(super) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Ask) => match asked(error) {
                Some((host, port)) => Self::Ask(host, port),
                None => Self::Refused,
            },
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::NoScript,
            ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::BusyLoading,
            )
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel => Self::NotNow,
            _ if says(error, "READONLY") || says(error, "MASTERDOWN") => Self::NotHere,
            _ if error.is_timeout() => Self::Slow,
            _ if error.is_unrecoverable_error() || error.is_io_error() => Self::Lost,
            _ => Self::Refused,
        }
    }
}

// === impl CallError ===

impl From<RedisError> for CallError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            _ if says(&error, "OOM") => Self::OutOfMemory,
            _ if says(&error, "WRONGTYPE") => Self::WrongType,
            _ if error.is_timeout() => Self::Slow,
            ErrorKind::AuthenticationFailed => Self::Login,
            _ if says(&error, "NOAUTH") => Self::Login,
            ErrorKind::ClusterConnectionNotFound
            | ErrorKind::Server(
                ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown,
            ) => Self::Unreachable("a part of the cluster is down, or is moving".to_owned()),
            ErrorKind::MasterNameNotFoundBySentinel => {
                Self::Unreachable("no sentinel knows the primary".to_owned())
            }
            ErrorKind::Io => Self::Unreachable(why_no_answer(&error)),
            _ => Self::Refused(error.code().unwrap_or(error.category()).to_owned()),
        }
    }
}

impl From<CallError> for StoreError {
    fn from(error: CallError) -> Self {
        Self::unavailable(error)
    }
}

impl From<CallError> for InsertError {
    fn from(error: CallError) -> Self {
        Self::Store(error.into())
    }
}

impl From<CallError> for ReplaceError {
    fn from(error: CallError) -> Self {
        Self::Store(error.into())
    }
}

/// Why the connection failed, in our own words. The library's go to the log.
pub(super) fn why_no_answer(error: &RedisError) -> String {
    tracing::debug!(cause = %error, "the library's error for a failed call to Redis");
    if tls_of(error).is_some() {
        return "TLS failed".to_owned();
    }
    inner(error).map_or(Outage::Unknown, Outage::of).to_string()
}

/// The error of TLS, if it is one.
pub(super) fn tls_of(error: &RedisError) -> Option<&rustls::Error> {
    chain(inner(error)?).find_map(|cause| cause.downcast_ref())
}

/// The error of the connection. The library hides it in a shared pointer, which shows no causes itself.
pub(super) fn inner(error: &RedisError) -> Option<&(dyn Error + 'static)> {
    let shared: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    Some(&**shared)
}

fn asked(error: &RedisError) -> Option<(String, u16)> {
    let (host, port) = error.redirect_node()?.0.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{options::RedisOptions, servers::Servers},
        *,
    };

    fn answer(text: &str) -> RedisError {
        let value = redis::parse_redis_value(text.as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn what_an_answer_means_is_told_apart() {
        for (text, trouble) in [
            ("-MOVED 1 10.0.0.1:7000\r\n", Trouble::NotNow),
            ("-TRYAGAIN later\r\n", Trouble::NotNow),
            ("-CLUSTERDOWN down\r\n", Trouble::NotNow),
            ("-LOADING data\r\n", Trouble::NotNow),
            (
                "-ASK 1 10.0.0.1:7000\r\n",
                Trouble::Ask("10.0.0.1".to_owned(), 7000),
            ),
            ("-READONLY You can't write\r\n", Trouble::NotHere),
            (
                "-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write\r\n",
                Trouble::NotHere,
            ),
            ("-NOSCRIPT No matching script\r\n", Trouble::NoScript),
            ("-NOPERM no\r\n", Trouble::Refused),
            ("-OOM command not allowed\r\n", Trouble::Refused),
        ] {
            assert_eq!(Trouble::of(&answer(text)), trouble, "{text}");
        }
        assert_eq!(
            Trouble::of(&std::io::ErrorKind::ConnectionRefused.into_redis()),
            Trouble::Lost
        );
        assert_eq!(
            Trouble::of(&std::io::ErrorKind::TimedOut.into_redis()),
            Trouble::Slow
        );
    }

    #[test]
    fn no_error_repeats_what_was_sent() {
        for (text, told) in [
            (
                "-ERR unknown command 'X', with args beginning with: 'token'\r\n",
                CallError::Refused("ERR".to_owned()),
            ),
            ("-OOM command not allowed\r\n", CallError::OutOfMemory),
            (
                "-ERR Error running script (call to f_1): @user_script:9: -OOM command not allowed\r\n",
                CallError::OutOfMemory,
            ),
            ("-NOAUTH Authentication required.\r\n", CallError::Login),
            ("-WRONGTYPE Operation against a key\r\n", CallError::WrongType),
        ] {
            let error = CallError::from(answer(text));
            assert_eq!(error, told);
            assert!(!format!("{error} {error:?}").contains("token"));
        }
    }

    /// No server answers here. Real ones are in `tests/starting.rs`.
    #[tokio::test]
    async fn each_failure_of_a_connection_is_told_in_our_words() {
        use crate::outage::testing::{Does, in_our_words, server};

        let servers = |url: &str| Servers::new(RedisOptions::parse(url).unwrap());
        for (url, part) in [
            (format!("redis://{}", server(Does::Refuse)), "connection refused"),
            (format!("redis://{}", server(Does::Reset)), "the other side has"),
            (format!("redis://{}", server(Does::Close)), "the other side has"),
            (
                "redis://no-such-host.invalid".to_owned(),
                "its name has no address",
            ),
            (
                format!("rediss://localhost:{}", server(Does::Close).port()),
                "the other side has",
            ),
        ] {
            crate::jose::install_crypto();
            let mut answer = servers(&url).connect().await;
            if let Ok(wire) = &mut answer {
                let asked = wire.send(&redis::cmd("INFO")).await;
                answer = Err(asked.unwrap_err());
            }
            let Err(error) = answer else {
                panic!("{url} answers")
            };
            let said = CallError::from(error).to_string();
            assert!(said.contains(part), "{url}: {said}");
            in_our_words(&said);
        }
        let late = CallError::from(std::io::ErrorKind::TimedOut.into_redis());
        assert_eq!(late, CallError::Slow);
    }

    trait IntoRedis {
        fn into_redis(self) -> RedisError;
    }

    impl IntoRedis for std::io::ErrorKind {
        fn into_redis(self) -> RedisError {
            std::io::Error::from(self).into()
        }
    }
}
