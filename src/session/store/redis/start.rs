//! The requirements and permissions of a Redis, checked once at the start.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use rustls::{AlertDescription, Error as TlsError};

use super::{
    failure::{inner, tls_of, why_no_answer},
    link::Link,
    names::Names,
    options::{Form, Place, RedisOptions},
    start_error::RedisStartError,
    texts::{Denied, denied, has_no_cluster, knows_no_command, refuses_database, says, wants_password},
};
use crate::{
    diagnostic::{Explained, Knob, fix},
    tls::{Hints, explain},
};

/// The first version that has all commands that are sent (`ZADD LT`, `ZRANGE BYSCORE`).
const OLDEST: (u32, u32) = (6, 2);

/// The variables to change after a TLS problem.
fn hints() -> Hints {
    Hints {
        address: fix!("{}", Knob::Redis),
        authorities: fix!("{}", Knob::RedisCa),
    }
}

/// A server's statement about itself.
#[derive(Debug)]
struct Info(String);

/// Checks Redis, and tries every operation that the server will use.
pub(super) async fn check(link: &Link, names: &Names) -> Result<(), RedisStartError> {
    let options = link.options();
    let failed = |what: &str, error: &RedisError| failure(options, what, error);
    let answers = link.send_to_all(&cmd("INFO")).await;
    for answer in answers.map_err(|error| failed("INFO", &error))? {
        check_info(options, &Info::of(answer))?;
    }
    for (what, command) in trials(names) {
        match link.try_once(&command).await {
            Err(error) if !says(&error, "OOM") && !says(&error, "NOSCRIPT") => {
                return Err(failed(what, &error));
            }
            // A full one keeps its sessions, and one that does not know a script would have run it.
            _ => {}
        }
    }
    let heard = link.listen(&names.channel()).await;
    heard.map_err(|error| failed("SUBSCRIBE", &error))?;
    Ok(())
}

/// Every command that the server sends or that a script uses, on separate keys.
fn trials(names: &Names) -> Vec<(&'static str, Cmd)> {
    let (text, index) = (names.trial("try"), names.trial("tries"));
    let trial = |words: &[&str]| {
        let mut command = cmd(words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        command
    };
    let no_script = "0000000000000000000000000000000000000000";
    [
        ("SET", trial(&["SET", &text, "try", "PX", "60000"])),
        ("GET", trial(&["GET", &text])),
        ("GETRANGE", trial(&["GETRANGE", &text, "0", "0"])),
        ("SETRANGE", trial(&["SETRANGE", &text, "0", "T"])),
        ("PEXPIRE", trial(&["PEXPIRE", &text, "60000"])),
        ("PTTL", trial(&["PTTL", &text])),
        ("ZADD", trial(&["ZADD", &index, "LT", "1", "try"])),
        ("ZCARD", trial(&["ZCARD", &index])),
        ("ZRANGE", trial(&["ZRANGE", &index, "0", "0"])),
        ("ZREM", trial(&["ZREM", &index, "try"])),
        ("DEL", trial(&["DEL", &text])),
        (
            "EVAL",
            trial(&["EVAL", "return redis.call('GET', KEYS[1])", "1", &text]),
        ),
        ("EVALSHA", trial(&["EVALSHA", no_script, "1", &text])),
        ("PING", cmd("PING")),
        ("TIME", cmd("TIME")),
        ("PUBLISH", trial(&["PUBLISH", &names.channel(), "try"])),
    ]
    .into()
}

fn check_info(options: &RedisOptions, info: &Info) -> Result<(), RedisStartError> {
    let hosts = options.hosts();
    let version = info.field("redis_version").unwrap_or_default();
    if info.field("redis_mode") == Some("sentinel") {
        return Err(RedisStartError::Kind {
            hosts,
            kind: "a sentinel",
            form: options.form(Form::Sentinels),
        });
    }
    let is_cluster = info.field("cluster_enabled") == Some("1");
    match (&options.place, is_cluster) {
        (Place::Cluster(_), false) => {
            return Err(RedisStartError::Kind {
                hosts,
                kind: "not part of a cluster",
                form: options.form(Form::One),
            });
        }
        (Place::One(..) | Place::Sentinels { .. }, true) => {
            return Err(RedisStartError::Kind {
                hosts,
                kind: "a node of a cluster",
                form: options.form(Form::Cluster),
            });
        }
        _ => {}
    }
    if is_older(version) {
        let version = version.to_owned();
        return Err(RedisStartError::Old { hosts, version });
    }
    if info.field("role") == Some("slave") {
        return Err(replica(options));
    }
    match info.field("maxmemory_policy") {
        Some("noeviction") => Ok(()),
        Some(policy) => Err(RedisStartError::Evicts {
            hosts,
            policy: policy.to_owned(),
        }),
        None => {
            tracing::warn!(
                "Redis does not tell its maxmemory-policy: make sure that it is noeviction, or people are logged out when it \
                 is full"
            );
            Ok(())
        }
    }
}

/// Whether it is sure to be older than [`OLDEST`].
fn is_older(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST,
        _ => false,
    }
}

/// The problem after the request `what`.
fn failure(options: &RedisOptions, what: &str, error: &RedisError) -> RedisStartError {
    let hosts = options.hosts();
    if let Some(why) = why_no_tls(error) {
        return RedisStartError::Tls { hosts, why };
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => RedisStartError::PasswordWrong { hosts },
        _ if wants_password(error) => RedisStartError::PasswordNeeded {
            hosts,
            form: options.form_with_password(),
        },
        _ if says(error, "WRONGPASS") => RedisStartError::PasswordWrong { hosts },
        ErrorKind::MasterNameNotFoundBySentinel => {
            let primary = match &options.place {
                Place::Sentinels { primary, .. } => primary.clone(),
                Place::One(..) | Place::Cluster(_) => String::new(),
            };
            RedisStartError::NoPrimary { hosts, primary }
        }
        _ if says(error, "NOPERM") => not_permitted(options, what, error),
        ErrorKind::Server(ServerErrorKind::BusyLoading) => RedisStartError::Loading { hosts },
        _ if says(error, "DENIED") => RedisStartError::Protected { hosts },
        _ if says(error, "READONLY") => replica(options),
        _ if refuses_database(error) => RedisStartError::Database { hosts },
        _ if has_no_cluster(error) => RedisStartError::Kind {
            hosts,
            kind: "not part of a cluster",
            form: options.form(Form::One),
        },
        // Only a sentinel, or a node of a cluster, knows the command of its kind.
        _ if knows_no_command(error) && options.is_of_several() => RedisStartError::Kind {
            hosts,
            kind: match options.place {
                Place::Cluster(_) => "not part of a cluster",
                Place::One(..) | Place::Sentinels { .. } => "a plain Redis, and no sentinel",
            },
            form: options.form(Form::One),
        },
        ErrorKind::ClusterConnectionNotFound => RedisStartError::Unreachable {
            hosts,
            cause: "no node of the cluster answers".to_owned(),
        },
        ErrorKind::Io => RedisStartError::Unreachable {
            hosts,
            cause: why_no_answer(error),
        },
        ErrorKind::Parse => RedisStartError::NotRedis { hosts },
        _ if says(error, "MOVED") => RedisStartError::Kind {
            hosts,
            kind: "a node of a cluster",
            form: options.form(Form::Cluster),
        },
        _ => RedisStartError::Refused {
            hosts,
            what: what.to_owned(),
            code: error.code().unwrap_or(error.category()).to_owned(),
        },
    }
}

fn replica(options: &RedisOptions) -> RedisStartError {
    RedisStartError::Replica {
        hosts: options.hosts(),
        form: options.form(Form::Sentinels),
    }
}

fn not_permitted(options: &RedisOptions, command: &str, error: &RedisError) -> RedisStartError {
    match denied(error) {
        Denied::Channel => RedisStartError::ChannelNotPermitted {
            channel: Names::new(&options.prefix).channel(),
        },
        Denied::Keys => RedisStartError::KeysNotPermitted {
            prefix: options.prefix.clone(),
        },
        // It may be another command: one that a cluster's client sends by itself.
        Denied::Command(named) => RedisStartError::CommandNotPermitted {
            command: named.unwrap_or_else(|| command.to_uppercase()),
        },
    }
}

fn why_no_tls(error: &RedisError) -> Option<Explained> {
    if let Some(TlsError::AlertReceived(AlertDescription::CertificateRequired)) = tls_of(error) {
        return Some(Explained::new(
            "it wants a client certificate",
            fix!(
                "name one in {} and its key in {}",
                Knob::RedisClientCert,
                Knob::RedisClientKey
            ),
        ));
    }
    explain(inner(error)?, &hints())
}

// === impl Info ===

impl Info {
    fn of(answer: Value) -> Self {
        Self(redis::from_redis_value(answer).unwrap_or_default())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnostic::Explain as _, telemetry::testing::Logs};

    /// Judges an answer to `GET`.
    fn told(answer: &str) -> RedisStartError {
        let options = RedisOptions::parse("redis://:hunter2@cache").unwrap();
        let answer = redis::parse_redis_value(format!("-{answer}\r\n").as_bytes()).unwrap();
        failure(&options, "GET", &answer.extract_error().unwrap_err())
    }

    /// Some of them occur only in an older version, or cannot be produced in a test.
    #[test]
    fn answers_of_all_versions_are_understood() {
        use RedisStartError as E;
        let command = "NOPERM this user has no permissions to run the 'get' command or its subcommand";
        assert!(matches!(told(command), E::CommandNotPermitted { command } if command == "GET"));
        let command = "NOPERM User bff has no permissions to run the 'get' command";
        assert!(matches!(told(command), E::CommandNotPermitted { .. }));
        let keys = "NOPERM this user has no permissions to access one of the keys used as arguments";
        assert!(matches!(told(keys), E::KeysNotPermitted { prefix } if prefix == "bff"));
        let channel = "NOPERM this user has no permissions to access one of the channels used as arguments";
        assert!(matches!(told(channel), E::ChannelNotPermitted { channel } if channel == "bff:changes"));
        assert!(matches!(
            told("LOADING Redis is loading the dataset in memory"),
            E::Loading { .. }
        ));
        assert!(matches!(
            told("DENIED Redis is running in protected mode"),
            E::Protected { .. }
        ));
        assert!(matches!(
            told("NOAUTH Authentication required."),
            E::PasswordNeeded { .. }
        ));
        assert!(matches!(
            told("WRONGPASS invalid username-password pair"),
            E::PasswordWrong { .. }
        ));
        assert!(matches!(told("READONLY You can't write"), E::Replica { .. }));
        assert!(
            matches!(told("CLUSTERDOWN The cluster is down"), E::Refused { code, .. } if code == "CLUSTERDOWN")
        );
    }

    #[test]
    fn what_is_no_redis_is_told_from_one_that_refuses() {
        let options = RedisOptions::parse("redis://:hunter2@cache").unwrap();
        for answer in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"\x15\x03\x01\x00\x02\x02\x0a\r\n",
        ] {
            let error = failure(&options, "INFO", &redis::parse_redis_value(answer).unwrap_err());
            assert!(matches!(error, RedisStartError::NotRedis { .. }), "{error:?}");
            assert!(!error.may_pass());
            let text = error.told();
            assert!(
                text.contains("cache:6379 does not speak Redis") && text.contains("rediss://"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_server_says_of_itself_decides() {
        use RedisStartError as E;
        let logs = Logs::capture();
        let check = |url: &str, info: &str| {
            check_info(
                &RedisOptions::parse(url).unwrap(),
                &Info(info.replace(' ', "\r\n")),
            )
        };
        let good = "redis_version:7.0.15 role:master maxmemory_policy:noeviction cluster_enabled:0";
        check("redis://cache", good).unwrap();
        check("redis+cluster://cache", &good.replace("enabled:0", "enabled:1")).unwrap();
        assert!(matches!(
            check("redis://cache", &good.replace("7.0.15", "6.0.9")),
            Err(E::Old { .. })
        ));
        assert!(matches!(
            check("redis://cache", &good.replace("master", "slave")),
            Err(E::Replica { .. })
        ));
        for policy in ["allkeys-lru", "volatile-ttl"] {
            let other = check("redis://cache", &good.replace("noeviction", policy));
            assert!(matches!(other, Err(E::Evicts { .. })));
        }
        assert!(matches!(
            check("redis+cluster://cache", good),
            Err(E::Kind { form, .. }) if form == "redis://HOST:PORT"
        ));
        assert!(logs.text().is_empty(), "{}", logs.text());
        // Some providers hide it.
        check("redis://cache", "redis_version:7.0.15 role:master").unwrap();
        logs.has_part("WARN", "maxmemory-policy");
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (version, expected) in [
            ("6.0.16", true),
            ("5.0.14", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.0.0", false),
            ("255.255.255", false),
            ("", false),
            ("unstable", false),
        ] {
            assert_eq!(is_older(version), expected, "{version}");
        }
    }
}
