//! The answers of Redis that have a text and no code of their own.
//!
//! The protocol has one code for all refused permissions (`NOPERM`) and one for everything else (`ERR`), a script
//! before Redis 7.0 wraps the code of its command, and the library drops the code if it selects the database by
//! itself. No other module reads texts of Redis. The tests beside hold the texts of all versions from 6.2 on.

use std::error::Error as _;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The thing that a user has no permission for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The channel.
    Channel,
    /// The keys.
    Keys,
    /// A command, if the answer names it.
    Command(Option<String>),
}

/// Whether the server's answer has this code, also if a command in a script caused it, which Redis before 7.0 wraps.
pub(super) fn says(error: &RedisError, code: &str) -> bool {
    error.code() == Some(code) || detail(error).contains(&format!("-{code} "))
}

/// Whether the server wants a password.
pub(super) fn wants_password(error: &RedisError) -> bool {
    says(error, "NOAUTH") || is_of_database(error) && detail(error).contains("Authentication required")
}

/// Whether the server refuses the database, or the command that selects it.
pub(super) fn refuses_database(error: &RedisError) -> bool {
    is_of_database(error) && !wants_password(error)
}

/// Whether the server is not part of a cluster.
pub(super) fn has_no_cluster(error: &RedisError) -> bool {
    detail(error).contains("cluster support disabled")
}

/// Whether the server does not know the command.
pub(super) fn knows_no_command(error: &RedisError) -> bool {
    detail(error).contains("unknown command")
}

/// The thing that the answer `NOPERM` is about.
pub(super) fn denied(error: &RedisError) -> Denied {
    let detail = detail(error);
    if detail.contains("channel") {
        Denied::Channel
    } else if detail.contains(" key") {
        Denied::Keys
    } else {
        Denied::Command(detail.split('\'').nth(1).map(str::to_uppercase))
    }
}

/// Whether the library selected the database and got an error: it makes one of its own, without the answer as source.
fn is_of_database(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError) && error.source().is_none()
}

fn detail(error: &RedisError) -> &str {
    error.detail().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> RedisError {
        let value = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    /// As the library makes it after `SELECT`.
    fn of_database(detail: &str) -> RedisError {
        let kind = ErrorKind::Server(ServerErrorKind::ResponseError);
        (kind, "Redis server refused to switch database", detail.to_owned()).into()
    }

    #[test]
    fn texts_of_all_versions_are_understood() {
        for (text, expected) in [
            (
                "NOPERM this user has no permissions to run the 'get' command or its subcommand",
                Denied::Command(Some("GET".to_owned())),
            ),
            (
                "NOPERM User bff has no permissions to run the 'get' command",
                Denied::Command(Some("GET".to_owned())),
            ),
            ("NOPERM no", Denied::Command(None)),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                Denied::Keys,
            ),
            ("NOPERM No permissions to access a key", Denied::Keys),
            (
                "NOPERM this user has no permissions to access one of the channels used as arguments",
                Denied::Channel,
            ),
        ] {
            assert_eq!(denied(&answer(text)), expected, "{text}");
        }
        assert!(has_no_cluster(&answer(
            "ERR This instance has cluster support disabled"
        )));
        assert!(wants_password(&answer("NOAUTH Authentication required.")));
        assert!(knows_no_command(&answer(
            "ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER-ADDR-BY-NAME'"
        )));
    }

    #[test]
    fn a_refused_database_is_told_from_a_missing_password() {
        for (detail, password) in [
            ("DB index is out of range", false),
            ("User bff has no permissions to run the 'select' command", false),
            ("Authentication required.", true),
        ] {
            let error = of_database(detail);
            assert_eq!(wants_password(&error), password, "{detail}");
            assert_eq!(refuses_database(&error), !password, "{detail}");
        }
        assert!(!refuses_database(&answer("ERR unknown command 'X'")));
    }
}
