//! Servers that belong together.

use std::{process::Command, sync::OnceLock, thread, time::Duration};

use super::{
    super::super::names::{Names, Shard},
    Server, eventually,
};
use crate::session::SessionKey;

/// The nodes of a cluster count one as lost that has been silent for so long.
pub(in super::super) const NODE_TIMEOUT: Duration = Duration::from_secs(2);

/// A primary, a replica of it, and sentinels that watch them. They end when this is dropped.
pub(in super::super) struct Watched {
    pub(in super::super) primary: Server,
    pub(in super::super) replica: Server,
    pub(in super::super) sentinels: Vec<Server>,
}

// === impl Watched ===

impl Watched {
    /// Under the name `main`, known to all of them.
    pub(in super::super) async fn start(sentinels: usize, password: Option<&str>) -> Self {
        let login: Vec<&str> = password
            .iter()
            .flat_map(|word| ["--requirepass", word, "--masterauth", word])
            .collect();
        let primary = Server::start(&login);
        let port = primary.port.to_string();
        let replica = Server::start(&[&login[..], &["--replicaof", &format!("127.0.0.1 {port}")]].concat());
        let quorum = sentinels / 2 + 1;
        let mut rules = format!("sentinel monitor main 127.0.0.1 {port} {quorum}\n");
        rules += "sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n";
        if let Some(word) = password {
            rules.extend(["sentinel auth-pass main ", word, "\nrequirepass ", word, "\n"]);
        }
        let sentinels: Vec<_> = (0..sentinels).map(|_| Server::start_sentinel(&rules)).collect();
        let others = format!("num-other-sentinels {}", sentinels.len() - 1);
        let watched = Self {
            primary,
            replica,
            sentinels,
        };
        eventually("all know each other", async || {
            watched.sentinels.iter().all(|sentinel| {
                let told = sentinel
                    .cli_as(password, &["SENTINEL", "MASTER", "main"])
                    .replace('\n', " ");
                told.contains("num-slaves 1") && told.contains(&others)
            }) && watched
                .replica
                .cli_as(password, &["INFO", "replication"])
                .contains("master_link_status:up")
        })
        .await;
        watched
    }

    pub(in super::super) fn url(&self, login: &str) -> String {
        let hosts: Vec<_> = self
            .sentinels
            .iter()
            .map(|one| format!("127.0.0.1:{}", one.port))
            .collect();
        format!("redis+sentinel://{login}{}/main", hosts.join(","))
    }
}

/// Three primaries of a cluster, without replicas. They end when this is dropped.
pub(in super::super) struct Cluster {
    pub(in super::super) nodes: Vec<Server>,
}

/// The cluster that the contract tests share.
pub(in super::super) fn shared_cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[]))
}

// === impl Cluster ===

impl Cluster {
    pub(in super::super) fn start(settings: &[&str]) -> Self {
        Self::of(|usual| Server::start(&[usual, settings].concat()))
    }

    /// With a certificate for `localhost`, which is also their name for each other.
    pub(in super::super) fn start_tls() -> Self {
        let names = [
            ["--cluster-announce-hostname", "localhost"],
            ["--cluster-preferred-endpoint-type", "hostname"],
            ["--tls-cluster", "yes"],
        ];
        Self::of(|usual| Server::start_tls(&[usual, names.as_flattened()].concat()))
    }

    fn of(start: impl Fn(&[&str]) -> Server) -> Self {
        let timeout = NODE_TIMEOUT.as_millis().to_string();
        let usual = ["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout];
        let nodes: Vec<_> = (0..3).map(|_| start(&usual)).collect();
        let ports = nodes.iter().map(|node| {
            if node.tls_port == 0 {
                node.port
            } else {
                node.tls_port
            }
        });
        let hosts: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        let tls = if nodes[0].tls_port == 0 {
            Vec::new()
        } else {
            nodes[0].tls_words()
        };
        let output = Command::new("redis-cli")
            .args(tls)
            .args(["--cluster", "create", "--cluster-yes"])
            .args(&hosts)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let cluster = Self { nodes };
        // Each of them has to have heard of all slots, and of all names.
        let knows_all = |node: &Server| {
            node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                && !node.cli(&["CLUSTER", "SLOTS"]).contains('?')
        };
        while !cluster.nodes.iter().all(knows_all) {
            thread::yield_now();
        }
        cluster
    }

    /// A replica of one of its nodes, which has everything that this has.
    pub(in super::super) fn replicate(&self, node: usize) -> Server {
        let timeout = NODE_TIMEOUT.as_millis().to_string();
        let replica = Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout]);
        let node = &self.nodes[node];
        assert_eq!(
            replica.cli(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string()]),
            "OK"
        );
        let id = node.cli(&["CLUSTER", "MYID"]);
        while replica.cli(&["CLUSTER", "REPLICATE", &id]) != "OK" {
            thread::yield_now();
        }
        while !replica
            .cli(&["INFO", "replication"])
            .contains("master_link_status:up")
            || !self
                .nodes
                .iter()
                .all(|node| node.cli(&["CLUSTER", "NODES"]).contains(&format!("slave {id}")))
        {
            thread::yield_now();
        }
        replica
    }

    /// Moves all data of a session's shard to another node, except the slot itself.
    pub(in super::super) fn begin_move(&self, names: &Names, key: &SessionKey) {
        let shard = Shard::of(key);
        let names = [names.session(key), names.due(shard), names.ends(shard)];
        let slot = self.nodes[0].cli(&["CLUSTER", "KEYSLOT", &names[0]]);
        let (from, to) = self.holder(&slot);
        let id = |node: &Server| node.cli(&["CLUSTER", "MYID"]);
        assert_eq!(
            to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]),
            "OK"
        );
        assert_eq!(
            from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]),
            "OK"
        );
        for name in &names {
            let moved = ["MIGRATE", "127.0.0.1", &to.port.to_string(), name, "0", "5000"];
            assert_eq!(from.cli(&moved), "OK");
        }
    }

    /// Names one of its nodes.
    pub(in super::super) fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.nodes[0].port)
    }

    /// Two of the nodes: the one that has a slot, and another one.
    pub(in super::super) fn holder(&self, slot: &str) -> (&Server, &Server) {
        let slot: u16 = slot.parse().unwrap();
        let has_it = |node: &&Server| {
            let nodes = node.cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
            })
        };
        let holder = self.nodes.iter().find(has_it).unwrap();
        let other = self.nodes.iter().find(|node| node.port != holder.port).unwrap();
        (holder, other)
    }
}
