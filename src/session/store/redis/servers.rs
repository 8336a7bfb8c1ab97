//! The servers that a URL names, and connections to them.

use std::{io, net::SocketAddr, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates,
    TlsMode, Value,
    aio::{MultiplexedConnection, PubSubSink, PubSubStream},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
    cmd,
    io::{
        AsyncDNSResolver,
        tcp::{TcpSettings, socket2::TcpKeepalive},
    },
};

use super::options::{Node, Place, RedisOptions};
use crate::outage::addresses;

/// A connection that takes longer to make counts as failed.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An answer that takes longer counts as lost.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection that is silent for so long is looked after by the system.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The servers of a URL.
#[derive(Debug)]
pub(super) struct Servers {
    options: RedisOptions,
}

/// Looks names up, so that a failure has a type.
struct LookUp;

/// A connection that many can use at once.
#[derive(Clone)]
pub(super) enum Wire {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

// === impl Servers ===

impl Servers {
    pub(super) fn new(options: RedisOptions) -> Self {
        Self { options }
    }

    pub(super) fn options(&self) -> &RedisOptions {
        &self.options
    }

    /// Whether one connection may be lost while others continue.
    pub(super) fn are_several(&self) -> bool {
        matches!(self.options.place, Place::Cluster(_))
    }

    /// A connection to the writable server.
    pub(super) async fn connect(&self) -> RedisResult<Wire> {
        match &self.options.place {
            Place::One(node, database) => Ok(Wire::Node(open(&self.client(node, *database)?).await?)),
            Place::Sentinels {
                seeds,
                primary,
                database,
            } => {
                let primary = self.primary(seeds, primary).await?;
                Ok(Wire::Node(open(&self.client(&primary, *database)?).await?))
            }
            Place::Cluster(seeds) => match self.cluster(seeds)?.get_async_connection().await {
                Ok(cluster) => Ok(Wire::Cluster(cluster)),
                Err(error) => Err(self.cause_of(error, seeds).await),
            },
        }
    }

    /// Why there is no connection to a cluster: its client merges all causes into one text.
    async fn cause_of(&self, error: RedisError, seeds: &[Node]) -> RedisError {
        let mut cause = error.clone();
        for seed in seeds {
            match self.ask_seed(seed).await {
                Ok(_) => return error,
                Err(error) => cause = error,
            }
        }
        cause
    }

    async fn ask_seed(&self, seed: &Node) -> RedisResult<Value> {
        let mut open = open(&self.client(seed, 0)?).await?;
        cmd("CLUSTER").arg("SLOTS").query_async(&mut open).await
    }

    /// A separate connection that receives a channel.
    pub(super) async fn listen(&self, channel: &str) -> RedisResult<(PubSubSink, PubSubStream)> {
        match &self.options.place {
            Place::One(node, _) => self.hear(node, channel).await,
            Place::Sentinels { seeds, primary, .. } => {
                let primary = self.primary(seeds, primary).await?;
                self.hear(&primary, channel).await
            }
            Place::Cluster(seeds) => {
                // Every node of a cluster forwards messages that are published at any of them.
                let mut failed = no_node();
                for seed in seeds {
                    match self.hear(seed, channel).await {
                        Ok(heard) => return Ok(heard),
                        Err(error) => failed = error,
                    }
                }
                Err(failed)
            }
        }
    }

    async fn hear(&self, node: &Node, channel: &str) -> RedisResult<(PubSubSink, PubSubStream)> {
        let (mut sink, stream) = self.client(node, 0)?.get_async_pubsub().await?.split();
        sink.subscribe(channel).await?;
        Ok((sink, stream))
    }

    /// The primary, as the first sentinel names it that knows one.
    async fn primary(&self, seeds: &[Node], name: &str) -> RedisResult<Node> {
        let mut failed = no_primary();
        for seed in seeds {
            match self.ask_sentinel(seed, name).await {
                Ok(Some((host, port))) => return Ok(Node { host, port }),
                Ok(None) => {}
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn ask_sentinel(&self, seed: &Node, name: &str) -> RedisResult<Option<(String, u16)>> {
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let mut open = open(&self.client_as(seed, RedisConnectionInfo::default())?).await?;
        match question.query_async(&mut open).await {
            // Sentinels that want a password mostly want the one of the servers that they watch.
            Err(error) if error.code() == Some("NOAUTH") => {
                let mut open = self::open(&self.client(seed, 0)?).await?;
                question.query_async(&mut open).await
            }
            answer => answer,
        }
    }

    fn client(&self, node: &Node, database: u32) -> RedisResult<Client> {
        self.client_as(node, self.login().set_db(database.into()))
    }

    fn client_as(&self, node: &Node, login: RedisConnectionInfo) -> RedisResult<Client> {
        let info = self
            .address(node)?
            .set_redis_settings(login.set_skip_set_lib_name());
        if self.options.tls {
            Client::build_with_tls(info, self.certificates())
        } else {
            Client::open(info)
        }
    }

    fn cluster(&self, seeds: &[Node]) -> RedisResult<ClusterClient> {
        let seeds: Vec<ConnectionInfo> = seeds
            .iter()
            .map(|seed| {
                Ok(self
                    .address(seed)?
                    .set_redis_settings(self.login().set_skip_set_lib_name()))
            })
            .collect::<RedisResult<_>>()?;
        let mut builder = ClusterClientBuilder::new(seeds)
            // The link repeats requests, knows which it has repeated, and notices each loss.
            .retries(0)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(RESPONSE_TIMEOUT)
            .async_dns_resolver(LookUp)
            .tcp_settings(tcp());
        if self.options.tls {
            builder = builder.tls(TlsMode::Secure).certs(self.certificates());
        }
        builder.build()
    }

    fn address(&self, node: &Node) -> RedisResult<ConnectionInfo> {
        let (host, port) = (node.host.clone(), node.port);
        let address = if self.options.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        Ok(address.into_connection_info()?.set_tcp_settings(tcp()))
    }

    fn login(&self) -> RedisConnectionInfo {
        let login = RedisConnectionInfo::default();
        let login = match &self.options.user {
            Some(user) => login.set_username(user),
            None => login,
        };
        match &self.options.password {
            Some(password) => login.set_password(password.expose()),
            None => login,
        }
    }

    fn certificates(&self) -> TlsCertificates {
        let own = self.options.own.as_ref();
        TlsCertificates {
            client_tls: own.map(|(certificate, key)| ClientTlsConfig {
                client_cert: certificate.clone(),
                client_key: key.expose().as_bytes().to_vec(),
            }),
            root_cert: self.options.authorities.clone(),
        }
    }
}

/// Small packets leave at once, and the end of a silent connection is noticed.
fn tcp() -> TcpSettings {
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(KEEPALIVE))
}

async fn open(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_dns_resolver(LookUp);
    client.get_multiplexed_async_connection_with_config(&config).await
}

fn no_node() -> RedisError {
    (ErrorKind::ClusterConnectionNotFound, "no node is named").into()
}

fn no_primary() -> RedisError {
    (
        ErrorKind::MasterNameNotFoundBySentinel,
        "no sentinel knows the primary",
    )
        .into()
}

// === impl LookUp ===

impl AsyncDNSResolver for LookUp {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = addresses(host, port).await.map_err(io::Error::other)?;
            Ok(Box::new(found.into_iter()) as Box<dyn Iterator<Item = SocketAddr> + Send>)
        })
    }
}

// === impl Wire ===

impl Wire {
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Node(node) => command.query_async(node).await,
            Self::Cluster(cluster) => command.query_async(cluster).await,
        }
    }

    /// Sends the command to a node to which a slot is on its way.
    pub(super) async fn send_asking(&mut self, command: &Cmd, host: String, port: u16) -> RedisResult<Value> {
        let Self::Cluster(cluster) = self else {
            return self.send(command).await;
        };
        let mut both = redis::pipe();
        both.cmd("ASKING").add_command(command.clone());
        let node = SingleNodeRoutingInfo::ByAddress { host, port };
        let answers = cluster.route_pipeline(both, 0, 2, node).await?;
        let answer = answers.into_iter().next_back().unwrap_or(Value::Nil);
        answer.extract_error()
    }

    /// The answer of every writable server.
    pub(super) async fn send_to_all(&mut self, command: &Cmd) -> RedisResult<Vec<Value>> {
        match self {
            Self::Node(node) => Ok(vec![command.query_async(node).await?]),
            Self::Cluster(cluster) => {
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                match cluster
                    .route_command(command.clone(), all)
                    .await?
                    .extract_error()?
                {
                    Value::Map(answers) => Ok(answers.into_iter().map(|(_, answer)| answer).collect()),
                    Value::Array(answers) => Ok(answers),
                    answer => Ok(vec![answer]),
                }
            }
        }
    }
}
