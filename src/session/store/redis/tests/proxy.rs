//! A network that can be cut and can stall.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// The behaviour of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Network {
    Works,
    /// Nothing passes, without any notice.
    StandsStill,
    /// Connections end, and there are no new ones.
    IsCut,
    /// The connection ends over which the next answer comes, before it arrives. Then it works again.
    LosesAnAnswer,
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
        let network = proxy.network.clone();
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

async fn carry(client: TcpStream, port: u16, network: watch::Sender<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = network.subscribe();
    tokio::select! {
        () = pump(from_client, to_server, &network, false) => {}
        () = pump(from_server, to_client, &network, true) => {}
        _ = cut.wait_for(|network| *network == Network::IsCut) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: &watch::Sender<Network>,
    answers: bool,
) {
    let mut state = network.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if answers
            && network.send_if_modified(|state| {
                let loses = *state == Network::LosesAnAnswer;
                if loses {
                    *state = Network::Works;
                }
                loses
            })
        {
            return;
        }
        let _ = state.wait_for(|network| *network != Network::StandsStill).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
