//! The addresses of the server.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use super::{address::Origin, names::Source, parse, problem::Complaint, reader::Reader};
use crate::url_policy::HttpPolicy;

/// The listeners and the proxies in front of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// `HOST` and `PORT`.
    pub listen: SocketAddr,
    /// The second listener, never published.
    pub internal: Option<SocketAddr>,
    /// The external origin.
    pub base_url: Option<Origin>,
    /// Peers whose forwarded headers are trusted; none by default.
    pub trusted_proxies: Vec<IpNet>,
    /// Which of their header fields is read.
    pub forwarded: ForwardedHeaders,
    /// The folder of `settings.yaml` and `routes.yaml`.
    pub config_dir: PathBuf,
    /// Unused connections of the proxies are kept this long.
    pub keep_alive: Duration,
    /// Connections of clients at a time, if it is set.
    pub max_connections: Option<usize>,
    /// The part for one address, if it is set.
    pub max_connections_per_address: Option<usize>,
    /// The longest body of a request, unless `routes.yaml` says otherwise.
    pub max_body: u64,
    /// After SIGTERM everything is still served for this long.
    pub shutdown_delay: Duration,
    /// Then requests under way have this long.
    pub shutdown_timeout: Duration,
    /// The Unix socket for commands that need the running server.
    pub admin_socket: Option<PathBuf>,
    /// The connections that may use plain `http` (`BFF_DANGER_ALLOW_HTTP`).
    pub allow_http: HttpPolicy,
}

/// The two families of header fields in which a proxy names its client (`BFF_FORWARDED_HEADERS`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeaders {
    /// `X-Forwarded-*`.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

pub(super) fn read(reader: &mut Reader) -> ServerSettings {
    let host = reader
        .parsed("HOST", host)
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = reader.parsed("PORT", |text| {
        let number = parse::number(text, 0, u64::from(u16::MAX))?;
        u16::try_from(number).map_err(|_| Complaint::new("is not a port", "write a number up to 65535"))
    });
    let listen = SocketAddr::new(host, port.unwrap_or(8_000));
    let internal = reader.parsed("BFF_INTERNAL_ADDR", |text| {
        text.parse::<SocketAddr>().map_err(|_| {
            Complaint::new(
                "is not an address with a port",
                "write `ip:port`, for example `127.0.0.1:9090` or `0.0.0.0:9090`",
            )
        })
    });
    if internal.is_some() && reader.source("BFF_INTERNAL_ADDR").is_some_and(is_metrics_address) {
        reader.warn(
            "BFF_METRICS_ADDR",
            "metrics are not built yet, and nothing serves them at this address: it is taken for BFF_INTERNAL_ADDR, where \
             health in detail and /auth/verify with tokens answer",
        );
    }
    if internal.is_some_and(|internal| internal.port() != 0 && overlaps(internal, listen)) {
        reader.complain(
            "BFF_INTERNAL_ADDR",
            "is the public listener (HOST and PORT)",
            "give it a port of its own, which is not published",
        );
    }
    ServerSettings {
        listen,
        internal,
        base_url: reader.origin("BFF_BASE_URL"),
        trusted_proxies: reader.entries("BFF_TRUSTED_PROXIES", network).unwrap_or_default(),
        forwarded: forwarded(reader),
        config_dir: reader.config_dir(),
        keep_alive: reader.duration("KEEP_ALIVE", Duration::from_secs(125)),
        max_connections: reader.parsed("MAX_CONNECTIONS", count),
        max_connections_per_address: reader.parsed("MAX_CONNECTIONS_PER_ADDRESS", count),
        max_body: reader
            .parsed("REQUEST_MAX_BODY_SIZE", parse::bytes)
            .unwrap_or(10 << 20),
        shutdown_delay: reader
            .parsed("SHUTDOWN_DELAY", parse::duration)
            .unwrap_or(Duration::from_secs(5)),
        shutdown_timeout: reader.duration("SHUTDOWN_TIMEOUT", Duration::from_secs(20)),
        admin_socket: reader.path("BFF_ADMIN_SOCKET"),
        allow_http: reader.http(),
    }
}

fn is_metrics_address(source: &Source) -> bool {
    source.name().eq_ignore_ascii_case("BFF_METRICS_ADDR")
}

/// A number of connections. Fewer than a browser opens for one page would be no server.
fn count(text: &str) -> Result<usize, Complaint> {
    let number = parse::number(text, 16, 1_000_000)?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

fn forwarded(reader: &mut Reader) -> ForwardedHeaders {
    let words = [ForwardedHeaders::XForwarded, ForwardedHeaders::Forwarded];
    reader.choice("BFF_FORWARDED_HEADERS", &words).unwrap_or_default()
}

fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

fn host(text: &str) -> Result<IpAddr, Complaint> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    bare.parse().map_err(|_| {
        Complaint::new(
            "is not an IP address",
            "write the address to listen on: `127.0.0.1`, `0.0.0.0`, `::`",
        )
    })
}

fn network(text: &str) -> Result<IpNet, Complaint> {
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| {
            Complaint::new(
                "is not a network",
                "write CIDRs or addresses: `10.0.0.0/8`, `fd00::/8`, `192.0.2.7`; names are not looked up",
            )
        })?,
    };
    // Peers are compared in their IPv4 form, and none has such an address.
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && mapped.prefix_len() >= 96
    {
        return Err(Complaint::new(
            "is an IPv4 network in IPv6 form, which no peer ever matches",
            format!("write `{address}/{}`", mapped.prefix_len() - 96),
        ));
    }
    if network.addr().is_unspecified() && network.prefix_len() == network.max_prefix_len()
        || network.network().is_multicast()
    {
        return Err(Complaint::new(
            "can match no peer",
            "write the addresses from which your proxies connect",
        ));
    }
    if network.prefix_len() == 0 {
        return Err(Complaint::new(
            "covers every address: any client could claim to be any other",
            "name the networks of your proxies",
        ));
    }
    if network.trunc() != network {
        return Err(Complaint::new(
            "has bits set beyond its prefix",
            format!("write `{}`, or the single address", network.trunc()),
        ));
    }
    Ok(network)
}
