//! Sessions: how long, how many, under which secret.

use std::{fmt, time::Duration};

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{parse, problem::Complaint, reader::Reader, redis_url};
use crate::{seal::MIN_SECRET_LENGTH, session::RedisOptions};

/// More secrets than this are not a rotation.
const MAX_SECRETS: usize = 10;

/// Sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// The store.
    pub store: StoreKind,
    /// The absolute limit.
    pub lifetime: Duration,
    /// The sliding limit.
    pub idle_timeout: Duration,
    /// Sessions at most.
    pub max: u64,
    /// Sessions of one person at most.
    pub max_per_user: u64,
    /// Memory for sessions at most, in bytes.
    pub memory_limit: u64,
    /// The master secrets, the first of which encrypts; empty if one is to be generated and stored.
    pub secrets: Vec<MasterSecret>,
}

/// The stores that are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// In a file in the state folder.
    Disk,
    /// In a file if the state folder is writable, otherwise in this process.
    DiskIfPossible,
    /// In Redis.
    Redis(Box<RedisOptions>),
}

/// The bytes of a master secret. Do not print, are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterSecret(Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for MasterSecret {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

pub(super) fn read(reader: &mut Reader) -> SessionSettings {
    let store = store(reader);
    let lifetime = reader.duration("SESSION_LIFETIME", Duration::from_hours(8));
    let idle_set = reader.is_set("SESSION_IDLE_TIMEOUT");
    let idle_timeout = reader.duration("SESSION_IDLE_TIMEOUT", Duration::from_hours(1));
    if idle_set && idle_timeout > lifetime {
        reader.complain(
            "SESSION_IDLE_TIMEOUT",
            "is longer than SESSION_LIFETIME",
            "make it at most as long as SESSION_LIFETIME",
        );
    }
    let memory_limit = reader.parsed("SESSION_MEMORY_LIMIT", |text| {
        let least = 1 << 20;
        parse::bytes(text).and_then(|size| {
            if size < least {
                Err(Complaint::new("is less than 1 MiB", "write at least `1MiB`"))
            } else {
                Ok(size)
            }
        })
    });
    SessionSettings {
        store,
        lifetime,
        // A short lifetime with the default idle limit is not a contradiction.
        idle_timeout: idle_timeout.min(lifetime),
        max: reader.number("SESSION_MAX", 1_000_000, 1, 1_000_000_000),
        max_per_user: reader.number("SESSION_MAX_PER_USER", 50, 1, 1_000_000),
        memory_limit: memory_limit.unwrap_or(1 << 30),
        secrets: secrets(reader),
    }
}

fn store(reader: &mut Reader) -> StoreKind {
    let certificates = redis_url::Certificates::read(reader);
    let (kind, why) = match reader.choice("SESSION_STORE", &["memory", "disk", "redis"]) {
        Some("memory") => (StoreKind::Memory, "with SESSION_STORE=memory"),
        Some("disk") => (StoreKind::Disk, "with SESSION_STORE=disk"),
        None if !reader.is_set("REDIS_URL") => (StoreKind::DiskIfPossible, "without REDIS_URL"),
        _ => return in_redis(reader, certificates),
    };
    for name in ["REDIS_URL"].into_iter().chain(redis_url::CERTIFICATES) {
        if reader.is_set(name) {
            reader.warn(name, format!("has no effect {why}; remove it"));
        }
    }
    kind
}

fn in_redis(reader: &mut Reader, certificates: redis_url::Certificates) -> StoreKind {
    if !reader.is_set("REDIS_URL") {
        reader.complain(
            "REDIS_URL",
            "is not set, and SESSION_STORE is `redis`",
            "set it to the address of Redis, for example redis://redis:6379",
        );
    } else if !reader.is_set("SESSION_SECRET") {
        reader.warn(
            "SESSION_SECRET",
            "is not set: the replicas understand each other only where they share BFF_STATE_DIR. Give all of them the same \
             SESSION_SECRET",
        );
    }
    match redis_url::read(reader, certificates) {
        Some(options) => StoreKind::Redis(Box::new(options)),
        // The complaint stops the start.
        None => StoreKind::Memory,
    }
}

fn secrets(reader: &mut Reader) -> Vec<MasterSecret> {
    let Some(text) = reader.secret("SESSION_SECRET") else {
        return Vec::new();
    };
    let parts: Vec<&str> = text
        .expose()
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    if parts.is_empty() || parts.len() > MAX_SECRETS {
        reader.complain(
            "SESSION_SECRET",
            format!("contains {} secrets", parts.len()),
            format!("write 1 to {MAX_SECRETS} secrets"),
        );
        return Vec::new();
    }
    let mut secrets = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        match decode(part) {
            Some(secret) => secrets.push(MasterSecret(secret)),
            None => reader.complain(
                "SESSION_SECRET",
                format!(
                    "number {} is not base64 or hex of at least {MIN_SECRET_LENGTH} bytes",
                    index + 1
                ),
                "make one with `openssl rand -base64 32`",
            ),
        }
    }
    secrets
}

/// Hex, base64 or base64url, with or without padding. What reads as hex is hex.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = hex(text).or_else(|| {
        [&alphabet::STANDARD, &alphabet::URL_SAFE]
            .into_iter()
            .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(text).ok())
            .map(Zeroizing::new)
    })?;
    (bytes.len() >= MIN_SECRET_LENGTH).then_some(bytes)
}

fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok())
        .collect::<Option<Vec<u8>>>()
        .map(Zeroizing::new)
}
