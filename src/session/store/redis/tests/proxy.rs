//! A network that can be cut and can stand still.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Works,
    /// Nothing gets through, and nobody is told.
    StandsStill,
    /// Connections end, and there are no new ones.
    IsCut,
}

/// Leads to a port.
pub(super) struct Proxy {
    pub(super) port: u16,
    network: watch::Sender<Network>,
}

// === impl Proxy ===

impl Proxy {
    pub(super) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            network: watch::Sender::new(Network::Works),
        };
        let network = proxy.network.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, network.clone()));
            }
        });
        proxy
    }

    pub(super) fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn carry(client: TcpStream, port: u16, mut network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, network.clone()) => {}
        () = pump(from_server, to_client, network.clone()) => {}
        _ = network.wait_for(|network| *network == Network::IsCut) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut network: watch::Receiver<Network>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let _ = network.wait_for(|network| *network == Network::Works).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
