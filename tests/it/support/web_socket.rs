//! WebSockets from both sides, by hand: a service, and a client over HTTP/1.1 or HTTP/2. They share no code with the
//! server.

use std::{collections::VecDeque, future::poll_fn, net::SocketAddr, sync::Arc};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{Browser, Stack};

/// The key of RFC 6455 section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A head as it was received, in lines.
#[derive(Clone, Debug)]
pub struct Head(String);

/// A frame: its first byte, and its content without the mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub u8, pub Vec<u8>);

/// A service that echoes messages, answers pings, and closes as it is asked to.
#[derive(Clone)]
pub struct Echo {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<Head>>>,
    closed: Arc<Mutex<VecDeque<Vec<u8>>>>,
    answer: Arc<Mutex<Answer>>,
    first: Arc<Mutex<Vec<u8>>>,
}

type Answer = Arc<dyn Fn(&Head) -> String + Send + Sync>;

/// The socket of a client.
pub struct Socket {
    io: DuplexStream,
    /// The head of the answer.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
}

// === impl Head ===

impl Head {
    /// The request line.
    pub fn line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// The value of a field, which stands there at most once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.0.lines().filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} stands there twice");
        value
    }

    /// The answer that agrees, with more fields, each with its end of line.
    pub fn agreed(&self, more: &str) -> String {
        let key = self.field("sec-websocket-key").unwrap_or_default();
        let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()));
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        )
    }
}

/// Reads a head byte by byte, so that nothing behind it is lost.
async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<Head> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(Head(String::from_utf8(head).unwrap()))
}

// === impl Frame ===

impl Frame {
    /// A whole text message.
    pub fn text(text: &str) -> Self {
        Self(0x81, text.as_bytes().to_vec())
    }

    /// The status of a close frame.
    #[track_caller]
    pub fn status(&self) -> u16 {
        assert_eq!(self.0, 0x88, "{self:?}");
        u16::from_be_bytes([self.1[0], self.1[1]])
    }

    /// Its bytes, with a mask of a client or without one.
    pub fn bytes(&self, masked: bool) -> Vec<u8> {
        let Self(first, content) = self;
        let bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![*first];
        match u16::try_from(content.len()) {
            Ok(length @ 0..=125) => bytes.push(bit | u8::try_from(length).unwrap()),
            Ok(length) => {
                bytes.push(bit | 0x7e);
                bytes.extend(length.to_be_bytes());
            }
            Err(_) => {
                bytes.push(bit | 0x7f);
                bytes.extend((content.len() as u64).to_be_bytes());
            }
        }
        let mask = if masked { [0x37, 0xfa, 0x21, 0x3d] } else { [0; 4] };
        bytes.extend(mask.iter().filter(|_| masked));
        bytes.extend(
            content
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        bytes
    }

    /// Reads the next one; whether it was masked.
    pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> Option<(Self, bool)> {
        let (first, second) = (io.read_u8().await.ok()?, io.read_u8().await.ok()?);
        let length = match second & 0x7f {
            126 => u64::from(io.read_u16().await.ok()?),
            127 => io.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let masked = second & 0x80 != 0;
        let mut mask = [0; 4];
        if masked {
            io.read_exact(&mut mask).await.ok()?;
        }
        let mut content = vec![0; usize::try_from(length).unwrap()];
        io.read_exact(&mut content).await.ok()?;
        for (byte, mask) in content.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        Some((Self(first, content), masked))
    }
}

// === impl Echo ===

impl Echo {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same over TLS, with this certificate and its key.
    pub async fn start_over_tls(certificate: &[u8], key: &[u8]) -> Self {
        bff::jose::install_crypto();
        let certificate = CertificateDer::from_pem_slice(certificate).unwrap().into_owned();
        let key = PrivateKeyDer::from_pem_slice(key).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::start_with(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answer: Answer = Arc::new(|head| head.agreed(""));
        let echo = Self {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            closed: Arc::default(),
            answer: Arc::new(Mutex::new(answer)),
            first: Arc::default(),
        };
        let service = echo.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => service.serve(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                service.serve(stream).await;
                            }
                        }
                    }
                });
            }
        });
        echo
    }

    /// The address of its listener.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on it sends these bytes behind its answer.
    pub fn begin_with(&self, bytes: Vec<u8>) {
        *self.first.lock() = bytes;
    }

    /// All handshakes so far.
    pub fn heads(&self) -> Vec<Head> {
        self.heads.lock().clone()
    }

    /// The content of the next close frame that it received.
    pub async fn closed(&self) -> Vec<u8> {
        for _ in 0..2_000 {
            if let Some(closed) = self.closed.lock().pop_front() {
                return closed;
            }
            super::pause().await;
        }
        panic!("no close frame came to the service");
    }

    /// From now on it answers handshakes like this.
    pub fn answer(&self, answer: impl Fn(&Head) -> String + Send + Sync + 'static) {
        *self.answer.lock() = Arc::new(answer);
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(head) = head(&mut stream).await else {
            return;
        };
        let answer = Arc::clone(&*self.answer.lock());
        let answer = answer(&head);
        self.heads.lock().push(head);
        let first = self.first.lock().clone();
        if stream.write_all(answer.as_bytes()).await.is_err() || !answer.contains(" 101 ") {
            return;
        }
        let _ = stream.write_all(&first).await;
        let _ = stream.flush().await;
        while let Some((frame, masked)) = Frame::read(&mut stream).await {
            assert!(masked, "a frame of a client has a mask");
            let Frame(first, content) = frame;
            let first = match first {
                0x89 => 0x8a,
                0x8a => continue,
                other => other,
            };
            if first == 0x88 {
                self.closed.lock().push_back(content.clone());
            }
            let is_last = first == 0x88;
            if stream
                .write_all(&Frame(first, content).bytes(false))
                .await
                .is_err()
                || is_last
            {
                return;
            }
        }
    }
}

// === impl Socket ===

impl Socket {
    /// Opens one over HTTP/1.1 with the fields of a handshake and these. Look at its status.
    pub async fn open(address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Self {
        let mut head = format!("GET {path} HTTP/1.1\r\n");
        let usual = [
            ("host", "automate.localhost"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        let usual = usual
            .iter()
            .filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        for (name, value) in usual.chain(fields).filter(|(_, value)| !value.is_empty()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        Self::send(address, &format!("{head}\r\n")).await
    }

    /// The same with a request as it stands.
    pub async fn send(address: SocketAddr, request: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = self::head(&mut stream).await.expect("no answer");
        let status = head.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = HeaderMap::new();
        for line in head.0.lines().skip(1) {
            if let Some((name, value)) = line.split_once(':') {
                let name: HeaderName = name.parse().unwrap();
                headers.append(name, value.trim().parse().unwrap());
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            assert_eq!(headers["sec-websocket-accept"], ACCEPT);
        }
        let (io, mut ours) = tokio::io::duplex(1024 * 1024);
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut ours, &mut stream).await });
        Self { io, status, headers }
    }

    /// Opens one over HTTP/2 (RFC 8441), with this `:protocol`.
    pub async fn open_http2(
        address: SocketAddr,
        protocol: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        // The settings of the server say whether it takes an extended CONNECT.
        let mut client = client.ready().await.unwrap();
        for _ in 0..2_000 {
            if client.is_extended_connect_protocol_enabled() {
                break;
            }
            super::pause().await;
        }
        assert!(client.is_extended_connect_protocol_enabled());
        let uri = format!("http://automate.localhost{path}");
        let mut request = Request::builder().method(Method::CONNECT).uri(uri);
        let usual = [("sec-websocket-version", "13")];
        let usual = usual
            .iter()
            .filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        for (name, value) in usual.chain(fields) {
            request = request.header(*name, HeaderValue::from_str(value).unwrap());
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(Protocol::from(protocol));
        let (answer, mut sender) = client.send_request(request, false).unwrap();
        let (head, mut body) = answer.await.unwrap().into_parts();
        let (io, ours) = tokio::io::duplex(1024 * 1024);
        let (mut reader, mut writer) = tokio::io::split(ours);
        tokio::spawn(async move {
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if writer.write_all(&data).await.is_err() {
                    return;
                }
            }
            let _ = writer.shutdown().await;
        });
        tokio::spawn(async move {
            let _client = client;
            let mut piece = vec![0; 8 * 1024];
            while let Ok(length @ 1..) = reader.read(&mut piece).await {
                let mut rest = Bytes::copy_from_slice(&piece[..length]);
                while !rest.is_empty() {
                    sender.reserve_capacity(rest.len());
                    let Some(Ok(room)) = poll_fn(|cx| sender.poll_capacity(cx)).await else {
                        return;
                    };
                    let _ = sender.send_data(rest.split_to(room.min(rest.len())), false);
                }
            }
            let _ = sender.send_data(Bytes::new(), true);
        });
        Self {
            io,
            status: head.status,
            headers: head.headers,
        }
    }

    /// The same in the name of a browser, on a page of its origin.
    pub async fn of(stack: &Stack, browser: &Browser, path: &str) -> Self {
        let cookie = cookie(browser);
        let fields = [("cookie", cookie.as_str()), ("origin", browser.origin())];
        let socket = Self::open(stack.address, path, &fields).await;
        assert_eq!(
            socket.status,
            StatusCode::SWITCHING_PROTOCOLS,
            "{:?}",
            socket.headers
        );
        socket
    }

    /// Sends bytes as they stand.
    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        self.io.write_all(bytes).await.unwrap();
    }

    /// Sends a frame.
    pub async fn say(&mut self, frame: &Frame) {
        self.io.write_all(&frame.bytes(true)).await.unwrap();
    }

    /// The next frame. `None` at the end.
    pub async fn hear(&mut self) -> Option<Frame> {
        let (frame, masked) = Frame::read(&mut self.io).await?;
        assert!(!masked, "a frame of a service has no mask");
        Some(frame)
    }

    /// Sends a text, and expects the same.
    pub async fn echo(&mut self, text: &str) {
        self.say(&Frame::text(text)).await;
        assert_eq!(self.hear().await, Some(Frame::text(text)));
    }

    /// Everything up to the end.
    pub async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.io.read_to_end(&mut rest).await;
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// The problem code of a refusal.
    pub async fn code(self) -> String {
        let length: usize = self.headers["content-length"].to_str().unwrap().parse().unwrap();
        let mut io = self.io;
        let mut body = vec![0; length];
        io.read_exact(&mut body).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// The cookies of a browser, as a header field.
pub fn cookie(browser: &Browser) -> String {
    format!(
        "theme=dark; __Host-Http-bff_session={}",
        browser.session_cookie().unwrap()
    )
}
