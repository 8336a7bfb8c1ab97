//! The circumstances of a session's login, so that a person can recognise it in a list. No decision depends on them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The rest of a longer `User-Agent` is ignored, in bytes.
const MAX_USER_AGENT: usize = 512;

/// A longer name of a program is cut, in bytes.
const MAX_NAME: usize = 32;

/// A longer host is cut, in bytes.
const MAX_HOST: usize = 255;

/// Browsers by the word that only they have in `User-Agent`. A browser that imitates another stands before that one.
const BROWSERS: [(&str, &str); 11] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Systems likewise.
const SYSTEMS: [(&str, &str); 8] = [
    ("Windows", "Windows"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

/// The circumstances of a session's login.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    /// The browser's name for itself, such as `Firefox on Linux`: fixed words, or 32 of its own letters and digits.
    pub browser: Option<String>,
    /// The network of its address: 24 bits of an IPv4 address, 48 of an IPv6 address.
    pub network: Option<String>,
    /// The host of the application that it was on.
    pub host: Option<String>,
}

// === impl Device ===

impl Device {
    /// Whether nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// The device behind a request with this `User-Agent`, from this address, on this host.
    #[must_use]
    pub fn new(user_agent: &[u8], address: IpAddr, host: &str) -> Self {
        Self {
            browser: browser(user_agent),
            network: network(address),
            host: Some(host[..host.floor_char_boundary(MAX_HOST)].to_owned()),
        }
    }

    /// The memory that it takes outside itself, in bytes.
    pub(super) fn texts(&self) -> [&str; 3] {
        [&self.browser, &self.network, &self.host].map(|text| text.as_deref().unwrap_or_default())
    }
}

fn browser(user_agent: &[u8]) -> Option<String> {
    let user_agent = &user_agent[..user_agent.len().min(MAX_USER_AGENT)];
    let text = String::from_utf8_lossy(user_agent);
    let find = |known: &[(&str, &'static str)]| {
        let mut known = known.iter();
        known.find(|(sign, _)| text.contains(sign)).map(|(_, name)| *name)
    };
    let Some(browser) = find(&BROWSERS) else {
        // A program, such as `curl/8.5.0`.
        let name: String = text
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'))
            .take(MAX_NAME)
            .collect();
        return (!name.is_empty()).then_some(name);
    };
    Some(match find(&SYSTEMS) {
        Some(system) => format!("{browser} on {system}"),
        None => browser.to_owned(),
    })
}

fn network(address: IpAddr) -> Option<String> {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 24 } else { 48 };
    Some(IpNet::new(address, bits).ok()?.trunc().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn browsers_have_plain_names() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
                Some("Firefox on Linux"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36",
                Some("Chrome on Windows"),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 \
                 Safari/537.36 Edg/140.0.0.0",
                Some("Edge on Windows"),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 \
                 Safari/605.1.15",
                Some("Safari on macOS"),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 CriOS/140.0 Mobile/15E148 Safari/604.1",
                Some("Chrome on iPhone"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 \
                 Chrome/130.0.0.0 Mobile Safari/537.36",
                Some("Samsung Internet on Android"),
            ),
            ("curl/8.5.0", Some("curl")),
            ("Firefox/141.0", Some("Firefox")),
            ("<script>alert(1)</script>", None),
            ("", None),
        ] {
            assert_eq!(browser(user_agent.as_bytes()).as_deref(), name, "{user_agent}");
        }
    }

    #[test]
    fn an_address_is_kept_as_its_network() {
        for (address, kept) in [
            ("198.51.100.77", "198.51.100.0/24"),
            ("::ffff:198.51.100.77", "198.51.100.0/24"),
            ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ] {
            assert_eq!(network(address.parse().unwrap()).as_deref(), Some(kept));
        }
    }

    proptest! {
        #[test]
        fn whatever_calls_itself_anything_is_bounded_and_harmless(
            user_agent in proptest::collection::vec(any::<u8>(), 0..1_000),
            host in "\\PC{0,300}",
        ) {
            let device = Device::new(&user_agent, IpAddr::from([192, 0, 2, 1]), &host);
            let harmless = |letter: char| letter.is_ascii_alphanumeric() || "-_. ".contains(letter);
            prop_assert!(device.browser.is_none_or(|name| name.len() <= MAX_NAME && name.chars().all(harmless)));
            prop_assert!(device.host.unwrap().len() <= MAX_HOST);
        }
    }
}
