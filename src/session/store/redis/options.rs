//! The address of Redis, from one URL.

use std::fmt;

use percent_encoding::percent_decode_str;
use rustls::{
    Error as TlsError,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};

use crate::{secret::Secret, tls::BundleError, url_policy::is_this_machine};

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

const DEFAULT_PREFIX: &str = "bff";

/// A longer prefix is refused: every key carries it.
const MAX_PREFIX: usize = 32;

/// The address of Redis and the server's credentials there.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    pub(super) place: Place,
    pub(super) tls: bool,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) prefix: String,
    /// PEM.
    pub(super) authorities: Option<Vec<u8>>,
    /// Both PEM.
    pub(super) own: Option<(Vec<u8>, Secret)>,
}

/// How many servers there are, and which of them counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// This one.
    One(Node, u32),
    /// The server that sentinels name.
    Sentinels {
        seeds: Vec<Node>,
        primary: String,
        database: u32,
    },
    /// All nodes of a cluster; these lead to the others.
    Cluster(Vec<Node>),
}

/// A kind of URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    One,
    Sentinels,
    Cluster,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The mistake in the URL of a Redis; [`fix`](Self::fix) says what to write. Quotes no part of the URL, which may
/// contain a password in an unexpected place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisUrlError {
    /// The scheme.
    #[error("does not begin with a scheme of Redis")]
    Scheme,
    /// User and password.
    #[error("has a user and password that cannot be read")]
    Credentials,
    /// The host.
    #[error("names no host, or one with characters that no host has")]
    Host,
    /// The port.
    #[error("has a port that is not a number from 1 to 65535")]
    Port,
    /// Several hosts where only one is possible.
    #[error("names several hosts, which only sentinels and clusters have")]
    Hosts,
    /// The name of the primary.
    #[error("does not name the primary that the sentinels watch")]
    Primary,
    /// The number of the database.
    #[error("has a database that is not a number")]
    Database,
    /// A database of a cluster.
    #[error("names a database, and a cluster has only the one")]
    ClusterDatabase,
    /// The prefix.
    #[error("has a prefix that is not 1 to 32 letters, digits, dots, dashes, underscores or colons")]
    Prefix,
    /// A parameter that there is not.
    #[error("has a parameter that is not known here")]
    Parameter,
}

/// Why a certificate of our own cannot be shown to Redis. Holds no part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedisCertificateError {
    /// The certificate.
    #[error("contains no usable certificate")]
    Certificate,
    /// The key.
    #[error("holds no private key that can be used")]
    Key,
    /// Certificate and key do not match.
    #[error("is not the certificate of the key that is configured")]
    Apart,
}

// === impl RedisUrlError ===

impl RedisUrlError {
    /// The fix.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Scheme => {
                "write redis://, or rediss:// for TLS; redis+sentinel:// or rediss+sentinel:// where sentinels name the primary; \
                 redis+cluster:// or rediss+cluster:// for a cluster"
            }
            Self::Credentials => {
                "write user:password@, or :password@ without a user, before the host, and each of / ? # @ : % [ ] in them as % \
                 and two hexadecimal digits (a slash as %2F)"
            }
            Self::Host => "write redis://HOST:6379 (IPv6 in brackets)",
            Self::Port => "write redis://HOST:6379",
            Self::Hosts => "write redis+sentinel://HOST,HOST/PRIMARY or redis+cluster://HOST,HOST",
            Self::Primary => {
                "write redis+sentinel://HOST:26379,HOST:26379/PRIMARY with the name from `sentinel monitor`"
            }
            Self::Database => {
                "write redis://HOST:6379/0, or nothing after the port; a name of a primary belongs to redis+sentinel://"
            }
            Self::ClusterDatabase => "leave out what follows the hosts",
            Self::Prefix => "write ?prefix=bff",
            Self::Parameter => "the only one is ?prefix=; certificates are named by settings of their own",
        }
    }
}

// === impl RedisCertificateError ===

impl RedisCertificateError {
    /// The fix.
    #[must_use]
    pub const fn fix(self) -> &'static str {
        match self {
            Self::Certificate => "name a PEM file with the certificate first (`-----BEGIN CERTIFICATE-----`)",
            Self::Key => {
                "name a PEM file with a private key that is not encrypted (`-----BEGIN PRIVATE KEY-----`)"
            }
            Self::Apart => "name the two that were made together",
        }
    }
}

// === impl RedisOptions ===

impl RedisOptions {
    /// Reads `redis://`, `redis+sentinel://` and `redis+cluster://` URLs, each also with `rediss` for TLS.
    ///
    /// # Errors
    ///
    /// [`RedisUrlError`] names the part that is wrong.
    pub fn parse(url: &str) -> Result<Self, RedisUrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(RedisUrlError::Scheme)?;
        let (family, kind) = scheme.split_once('+').unwrap_or((scheme, "one"));
        let tls = match family {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisUrlError::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Otherwise a password with a slash or a question mark would be taken for a host.
        if path.contains('@') || query.contains('@') || url.contains('#') {
            return Err(RedisUrlError::Credentials);
        }
        let (user, password, hosts) = credentials(authority)?;
        let place = match kind {
            "one" => {
                let node = one(&hosts_of(hosts, REDIS_PORT)?)?;
                Place::One(node, database(path)?)
            }
            "sentinel" => {
                let (primary, path) = path.split_once('/').unwrap_or((path, ""));
                Place::Sentinels {
                    seeds: hosts_of(hosts, SENTINEL_PORT)?,
                    primary: primary_name(primary)?,
                    database: database(path)?,
                }
            }
            "cluster" if matches!(path, "" | "0") => Place::Cluster(hosts_of(hosts, REDIS_PORT)?),
            "cluster" => return Err(RedisUrlError::ClusterDatabase),
            _ => return Err(RedisUrlError::Scheme),
        };
        Ok(Self {
            place,
            tls,
            user,
            password,
            prefix: prefix(query)?,
            authorities: None,
            own: None,
        })
    }

    /// Trusts the certificate authorities of this PEM bundle in place of the system's (`REDIS_CA_FILE`).
    ///
    /// # Errors
    ///
    /// [`BundleError`] if it has no usable certificate.
    pub fn trust(mut self, bundle: Vec<u8>) -> Result<Self, BundleError> {
        crate::tls::Bundle::parse(&bundle)?;
        self.authorities = Some(bundle);
        Ok(self)
    }

    /// Shows this certificate and signs with this key, both PEM (`REDIS_CLIENT_CERT_FILE`, `REDIS_CLIENT_KEY_FILE`).
    ///
    /// # Errors
    ///
    /// [`RedisCertificateError`] if the two are unusable.
    pub fn show(mut self, certificate: Vec<u8>, key: Secret) -> Result<Self, RedisCertificateError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(RedisCertificateError::Certificate)?;
        let parsed = PrivateKeyDer::from_pem_slice(key.expose().as_bytes());
        let parsed = parsed.map_err(|_| RedisCertificateError::Key)?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        CertifiedKey::from_der(chain, parsed, &provider).map_err(|error| match error {
            TlsError::InconsistentKeys(_) => RedisCertificateError::Apart,
            TlsError::InvalidCertificate(_) => RedisCertificateError::Certificate,
            _ => RedisCertificateError::Key,
        })?;
        self.own = Some((certificate, key));
        Ok(self)
    }

    /// Whether the connection is encrypted: `rediss`.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls
    }

    /// The form of a URL of this kind, with the scheme for the same encryption. Quotes nothing of the present one.
    pub(super) fn form(&self, form: Form) -> String {
        let scheme = if self.tls { "rediss" } else { "redis" };
        match form {
            Form::One => format!("{scheme}://HOST:PORT"),
            Form::Sentinels => format!("{scheme}+sentinel://HOST:PORT,HOST:PORT/PRIMARY"),
            Form::Cluster => format!("{scheme}+cluster://HOST:PORT,HOST:PORT"),
        }
    }

    /// The form of the present URL with a password.
    pub(super) fn form_with_password(&self) -> String {
        let form = match &self.place {
            Place::One(..) => Form::One,
            Place::Sentinels { .. } => Form::Sentinels,
            Place::Cluster(_) => Form::Cluster,
        };
        self.form(form).replacen("://", "://USER:PASSWORD@", 1)
    }

    /// The hosts that are this machine.
    #[must_use]
    pub fn loopback_hosts(&self) -> Vec<&str> {
        let hosts = self.nodes().iter().map(|node| node.host.as_str());
        hosts.filter(|host| is_this_machine(host)).collect()
    }

    /// Whether it names sentinels or a cluster.
    pub(super) const fn is_of_several(&self) -> bool {
        !matches!(self.place, Place::One(..))
    }

    fn nodes(&self) -> &[Node] {
        match &self.place {
            Place::One(node, _) => std::slice::from_ref(node),
            Place::Sentinels { seeds: nodes, .. } | Place::Cluster(nodes) => nodes,
        }
    }

    /// Hosts and ports, for messages.
    pub(super) fn hosts(&self) -> String {
        let hosts: Vec<_> = self.nodes().iter().map(ToString::to_string).collect();
        hosts.join(", ")
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("place", &self.place)
            .field("tls", &self.tls)
            .field("password", &self.password.is_some())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

// === impl Node ===

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// User, password, and the rest.
fn credentials(authority: &str) -> Result<(Option<String>, Option<Secret>, &str), RedisUrlError> {
    let Some((credentials, hosts)) = authority.rsplit_once('@') else {
        return Ok((None, None, authority));
    };
    let (user, password) = credentials.split_once(':').ok_or(RedisUrlError::Credentials)?;
    if password.is_empty() || password.contains([':', '@']) || user.contains('@') {
        return Err(RedisUrlError::Credentials);
    }
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    Ok((user, Some(Secret::new(decoded(password)?)), hosts))
}

fn decoded(text: &str) -> Result<String, RedisUrlError> {
    let is_escape = |rest: &str| {
        rest.as_bytes()
            .get(1..3)
            .is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    };
    if text.match_indices('%').any(|(at, _)| !is_escape(&text[at..])) {
        return Err(RedisUrlError::Credentials);
    }
    let text = percent_decode_str(text).decode_utf8();
    Ok(text.map_err(|_| RedisUrlError::Credentials)?.into_owned())
}

fn hosts_of(hosts: &str, port: u16) -> Result<Vec<Node>, RedisUrlError> {
    hosts.split(',').map(|host| node(host, port)).collect()
}

fn one(nodes: &[Node]) -> Result<Node, RedisUrlError> {
    match nodes {
        [node] => Ok(node.clone()),
        _ => Err(RedisUrlError::Hosts),
    }
}

fn node(text: &str, usual: u16) -> Result<Node, RedisUrlError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(RedisUrlError::Host)?;
            host.parse::<std::net::Ipv6Addr>()
                .map_err(|_| RedisUrlError::Host)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(RedisUrlError::Host)?),
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
    if host.is_empty() || !host.chars().all(is_host) {
        return Err(RedisUrlError::Host);
    }
    let port = match port {
        None => usual,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or(RedisUrlError::Port)?,
    };
    Ok(Node {
        host: host.to_owned(),
        port,
    })
}

fn primary_name(name: &str) -> Result<String, RedisUrlError> {
    // Names that a sentinel accepts.
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(RedisUrlError::Primary);
    }
    Ok(name.to_owned())
}

fn database(path: &str) -> Result<u32, RedisUrlError> {
    match path {
        "" => Ok(0),
        path => path.parse().map_err(|_| RedisUrlError::Database),
    }
}

fn prefix(query: &str) -> Result<String, RedisUrlError> {
    if query.is_empty() {
        return Ok(DEFAULT_PREFIX.to_owned());
    }
    let prefix = query.strip_prefix("prefix=").ok_or(RedisUrlError::Parameter)?;
    if prefix.contains('&') {
        return Err(RedisUrlError::Parameter);
    }
    // No braces, which would be taken for a hash tag.
    let is_prefix = |letter: char| letter.is_ascii_alphanumeric() || "-._:".contains(letter);
    if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.chars().all(is_prefix) {
        return Err(RedisUrlError::Prefix);
    }
    Ok(prefix.to_owned())
}

#[cfg(test)]
mod tests;
