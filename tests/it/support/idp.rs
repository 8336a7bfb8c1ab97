//! The development IdP as a server that can be down and be started again, always on the port that it was given.

use devstack_idp::{Control, Idp, Options};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// A reserved port of this machine at which connections are refused until a process listens.
pub struct Port(TcpSocket);

/// The server of the IdP. It ends when it is dropped.
pub struct IdpServer {
    options: Options,
    port: Option<Port>,
    listener: Option<std::net::TcpListener>,
    running: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

// === impl Port ===

impl Port {
    /// A free port.
    pub fn reserve() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    fn at(address: std::net::SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Lets another process listen at the port while we reserve it.
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        Self(socket)
    }

    /// Another reservation of the same port, which keeps it ours between two runs of a server.
    pub fn held(&self) -> Self {
        Self::at(self.address())
    }

    /// Its address.
    pub fn address(&self) -> std::net::SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Listens at it.
    pub fn listen(self) -> TcpListener {
        self.0.listen(1024).unwrap()
    }
}

// === impl IdpServer ===

impl IdpServer {
    /// An IdP at `port`, which is down.
    pub fn new(options: Options, port: Port) -> Self {
        Self {
            options,
            port: Some(port),
            listener: None,
            running: None,
            stop: CancellationToken::new(),
        }
    }

    /// An IdP with these options after a start: it knows the content of its files.
    pub fn idp(&self) -> Idp {
        Idp::new(self.options.clone()).unwrap()
    }

    /// Serves `idp`.
    pub fn up(&mut self, idp: Idp) {
        if let Some(port) = self.port.take() {
            self.listener = Some(port.listen().into_std().unwrap());
        }
        // The listener itself stays here, so that the port stays ours between two runs.
        let listener = self.listener.as_ref().unwrap().try_clone().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        self.stop = CancellationToken::new();
        let stop = self.stop.clone();
        self.running = Some(tokio::spawn(async move {
            devstack_idp::serve(listener, idp, stop.cancelled())
                .await
                .unwrap();
        }));
    }

    /// Ends the process, as it were, and starts another one on the same files; the hand inside the new one.
    pub async fn restart(&mut self) -> Control {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
        let idp = self.idp();
        let control = idp.control().clone();
        self.up(idp);
        control
    }
}

impl Drop for IdpServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
