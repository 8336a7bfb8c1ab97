//! Servers for tests of TLS, and certificates for them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

/// An authority, which has signed the certificate of [`server`].
pub(crate) const CA: &[u8] = include_bytes!("testing/ca.pem");
/// Self-signed, with the mark of an authority, for `service.test` and `idp.test`.
pub(crate) const NAMED: &[u8] = include_bytes!("testing/named.pem");
pub(crate) const NAMED_KEY: &[u8] = include_bytes!("testing/named.key");
/// The same for `localhost`.
pub(crate) const SELF_SIGNED: &[u8] = include_bytes!("testing/self-signed.pem");
pub(crate) const SELF_SIGNED_KEY: &[u8] = include_bytes!("testing/self-signed.key");
/// The same name and key, expired.
pub(crate) const EXPIRED: &[u8] = include_bytes!("testing/self-signed-expired.pem");
/// The certificate of [`server`].
pub(crate) const SERVER: &[u8] = include_bytes!("testing/server.pem");
/// Its key.
pub(crate) const SERVER_KEY: &[u8] = include_bytes!("testing/server.key");

/// An authority for clients.
const CLIENT_CA: &[u8] = include_bytes!("testing/client-ca.pem");
/// A client's certificate, which [`CLIENT_CA`] has signed.
pub(crate) const CLIENT: &[u8] = include_bytes!("testing/client.pem");
/// Its key.
pub(crate) const CLIENT_KEY: &[u8] = include_bytes!("testing/client.key");

/// The group X25519MLKEM768 in its form in a `ClientHello`.
pub(crate) const X25519MLKEM768: u16 = 0x11ec;

/// A server with a certificate for `localhost`, for one request of each connection.
pub(crate) fn server() -> SocketAddr {
    server_with(SERVER, SERVER_KEY)
}

/// The TLS configuration of the server for `localhost`, which offers only HTTP/2.
pub(crate) fn http2_config() -> rustls::ServerConfig {
    let mut config = config(SERVER, SERVER_KEY);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

/// A server that shows this certificate and signs with this key, which need not belong to it. It answers one
/// request of each connection with `ok`.
pub(crate) fn server_with(certificate: &[u8], key: &[u8]) -> SocketAddr {
    serve(config(certificate, key))
}

/// The server for `localhost`, for clients with a certificate of [`CLIENT_CA`].
pub(crate) fn server_for_known_clients() -> SocketAddr {
    let known = config(SERVER, SERVER_KEY);
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CLIENT_CA).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    serve(
        rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_cert_resolver(known.cert_resolver),
    )
}

fn serve(config: rustls::ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let config = Arc::new(config);
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // Fails if the client does not trust us, as some of the tests expect.
            if stream.read(&mut [0; 1024]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                let _ = stream.flush();
            }
        }
    });
    address
}

fn config(certificate: &[u8], key: &[u8]) -> rustls::ServerConfig {
    crate::jose::install_crypto();
    let certificate = CertificateDer::from_pem_slice(certificate).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let shown = rustls::sign::CertifiedKey::new(vec![certificate], key);
    rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(shown)))
}

/// A server that reads a `ClientHello`, hangs up, and gives the groups of its key shares in their order.
pub(crate) fn key_shares() -> (SocketAddr, std::thread::JoinHandle<Vec<u16>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let groups = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; 5];
        stream.read_exact(&mut header).unwrap();
        // A record with a handshake message (RFC 8446 section 5.1).
        assert_eq!(header[0], 22, "no handshake");
        let mut message = vec![0; usize::from(u16::from_be_bytes([header[3], header[4]]))];
        stream.read_exact(&mut message).unwrap();
        groups(&message)
    });
    (address, groups)
}

/// The groups of the extension `key_share` of a `ClientHello` (RFC 8446 sections 4.1.2 and 4.2.8).
fn groups(message: &[u8]) -> Vec<u16> {
    fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
        let (taken, left) = rest.split_at(length);
        *rest = left;
        taken
    }
    fn number(rest: &mut &[u8], length: usize) -> usize {
        take(rest, length)
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut rest = message;
    assert_eq!(number(&mut rest, 1), 1, "no ClientHello");
    // Its length, the version and the random.
    take(&mut rest, 3 + 2 + 32);
    // Session id, cipher suites, compression methods.
    for size in [1, 2, 1] {
        let length = number(&mut rest, size);
        take(&mut rest, length);
    }
    let length = number(&mut rest, 2);
    let mut extensions = take(&mut rest, length);
    while !extensions.is_empty() {
        let kind = number(&mut extensions, 2);
        let length = number(&mut extensions, 2);
        let mut body = take(&mut extensions, length);
        if kind != 51 {
            continue;
        }
        number(&mut body, 2);
        let mut groups = Vec::new();
        while !body.is_empty() {
            groups.push(u16::try_from(number(&mut body, 2)).unwrap());
            let length = number(&mut body, 2);
            take(&mut body, length);
        }
        return groups;
    }
    panic!("no key_share");
}
