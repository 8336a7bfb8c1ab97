//! Direct calls: the entries of `NO_PROXY`.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use url::Host;

use super::Mistake;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    what: What,
    /// With a port it applies only to that port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// `*`.
    Everything,
    /// A name, in lower case, and all names below it.
    Name(String),
    Network(IpNet),
}

// === impl Direct ===

impl Direct {
    /// Reads a host name, which includes all names below it (`.` or `*.` before it changes nothing), an IP address, a
    /// CIDR, or `*` for everything; names and addresses also with `:port`.
    ///
    /// # Errors
    ///
    /// [`Mistake`].
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = |message: &str| Mistake {
            message: message.to_owned(),
            fix: "write host names, domains with a leading dot, IP addresses, CIDRs such as `10.0.0.0/8`, or `*`",
        };
        if let Some(what) = whole(text) {
            return Ok(Self { what, port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (
                    host,
                    Some(port.ok_or_else(|| wrong("is neither a host nor an address nor a CIDR"))?),
                )
            }
            None => (text, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        let what = whole(bare)
            .or_else(|| name(host))
            .ok_or_else(|| wrong("is neither a host nor an address nor a CIDR"))?;
        Ok(Self { what, port })
    }

    /// Whether it covers this port of this host; `name` is in lower case and without a dot at its end.
    pub(super) fn covers(&self, name: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_it = match (&self.what, address) {
            (What::Everything, _) => true,
            (What::Network(network), Some(address)) => network.contains(&address),
            (What::Name(domain), None) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.')),
            (What::Network(_), None) | (What::Name(_), Some(_)) => false,
        };
        is_it && self.port.is_none_or(|own| own == port)
    }
}

/// `*`, a CIDR or an address.
fn whole(text: &str) -> Option<What> {
    if text == "*" {
        return Some(What::Everything);
    }
    let network = text.parse::<IpNet>().ok();
    let address = || {
        text.parse::<IpAddr>()
            .ok()
            .map(|address| IpNet::from(address.to_canonical()))
    };
    network.or_else(address).map(What::Network)
}

fn name(text: &str) -> Option<What> {
    let text = text
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(text);
    let text = text.strip_prefix('.').unwrap_or(text);
    match Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()? {
        Host::Domain(name) => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            name.bytes().all(plain).then_some(What::Name(name))
        }
        // Numbers in an unusual form, such as `10.1`.
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Everything => f.write_str("*")?,
            What::Name(name) => f.write_str(name)?,
            What::Network(network) if self.port.is_some() && network.addr().is_ipv6() => {
                write!(f, "[{}]", network.addr())?;
            }
            What::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().fmt(f)?;
            }
            What::Network(network) => network.fmt(f)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}
