//! The features of the browser behind a request. A thief can imitate all of them, but has to know them first.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header::USER_AGENT};
use serde::{Deserialize, Serialize};

/// The rest of a longer `User-Agent` is not compared, in bytes. Those of browsers have some 150.
const MAX_USER_AGENT: usize = 512;

/// The compared bits of a network: a household or an office keeps them while its addresses change.
const IPV4_PREFIX: u32 = 24;
const IPV6_PREFIX: u32 = 48;

/// 128 bits of the keyed hash.
const TAG_LENGTH: usize = 16;

/// The features of a request.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// Its header.
    pub headers: &'a HeaderMap,
    /// The client's address, as listed proxies say.
    pub address: IpAddr,
}

/// The feature that differs from the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The browser.
    UserAgent,
    /// The network.
    Network,
}

/// The features of a login request, as keyed hashes. The key is random and stored beside them. A hash under
/// `SESSION_SECRET` would become useless when that secret rotates, and a reader who can open a record finds tokens in
/// it anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Traits {
    salt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

// === impl Seen ===

impl fmt::Debug for Seen<'_> {
    /// Not the header, in which the cookies are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

// === impl Traits ===

impl Traits {
    pub(super) fn of(seen: &Seen<'_>, user_agent: bool, network: bool, salt: [u8; 16]) -> Self {
        let salt = URL_SAFE_NO_PAD.encode(salt);
        Self {
            user_agent: user_agent.then(|| tag(&salt, &browser(seen.headers))),
            network: network.then(|| tag(&salt, &network_of(seen.address))),
            salt,
        }
    }

    pub(super) fn check(&self, seen: &Seen<'_>, user_agent: bool, network: bool) -> Result<(), Mismatch> {
        let fits = |kept: &Option<String>, shown: &dyn Fn() -> Vec<u8>| {
            kept.as_ref()
                .is_none_or(|kept| *kept == tag(&self.salt, &shown()))
        };
        if network && !fits(&self.network, &|| network_of(seen.address)) {
            return Err(Mismatch::Network);
        }
        if user_agent && !fits(&self.user_agent, &|| browser(seen.headers)) {
            return Err(Mismatch::UserAgent);
        }
        Ok(())
    }

    pub(super) fn weight(&self) -> usize {
        let tags = [&self.user_agent, &self.network].map(|tag| tag.as_ref().map_or(0, String::len));
        size_of::<Self>() + self.salt.len() + tags.iter().sum::<usize>()
    }
}

/// Not in constant time: a comparison whose duration is measured reveals nothing of value.
fn tag(salt: &str, shown: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    let tag = hmac::sign(&key, shown);
    URL_SAFE_NO_PAD.encode(tag.as_ref().get(..TAG_LENGTH).unwrap_or_default())
}

/// The `User-Agent` without its numbers, so that neither an update of the browser nor one of the system ends a session.
fn browser(headers: &HeaderMap) -> Vec<u8> {
    let lines = headers.get_all(USER_AGENT).iter().map(HeaderValue::as_bytes);
    let mut shown = b"ua:".to_vec();
    let is_of_a_version = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'_');
    shown.extend(
        lines
            .flatten()
            .take(MAX_USER_AGENT)
            .filter(|byte| !is_of_a_version(byte)),
    );
    shown
}

/// The network of an address. An IPv4 address embedded in IPv6 counts as IPv4.
fn network_of(address: IpAddr) -> Vec<u8> {
    let network = match address.to_canonical() {
        IpAddr::V4(address) => {
            let bits = address.to_bits() & (u32::MAX << (u32::BITS - IPV4_PREFIX));
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits() & (u128::MAX << (u128::BITS - IPV6_PREFIX));
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    };
    format!("ip:{network}").into_bytes()
}
