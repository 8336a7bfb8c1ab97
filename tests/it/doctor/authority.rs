//! An IdP whose certificate comes from an authority that is not trusted here.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{check, run};
use crate::support::{Process, Stack};

/// For `localhost`, by an authority of the tests.
const SIGNED: (&[u8], &[u8]) = (
    include_bytes!("../../../src/tls/testing/server.pem"),
    include_bytes!("../../../src/tls/testing/server.key"),
);
/// For `localhost`, by itself.
const SELF_SIGNED: (&[u8], &[u8]) = (
    include_bytes!("../../../src/tls/testing/self-signed.pem"),
    include_bytes!("../../../src/tls/testing/self-signed.key"),
);

/// The issuer of a server that shows this certificate. It answers nothing behind TLS, because nobody gets that far.
async fn issuer((certificate, key): (&[u8], &[u8])) -> String {
    bff::jose::install_crypto();
    let certificate = CertificateDer::from_pem_slice(certificate).unwrap().into_owned();
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { acceptor.accept(stream).await.is_ok() });
        }
    });
    issuer
}

#[tokio::test]
async fn doctor_and_log_name_the_file_of_authorities() {
    let stack = Stack::builder().without_server().start_without_waiting().await;
    let other = stack.folder().join("other-ca.pem");
    std::fs::write(&other, SELF_SIGNED.0).unwrap();
    let other = other.display().to_string();
    for (certificate, bundle) in [(SIGNED, ""), (SIGNED, other.as_str()), (SELF_SIGNED, "")] {
        let issuer = issuer(certificate).await;
        let changes = [("OIDC_ISSUER", issuer.as_str()), ("IDP_CA_FILE", bundle)];
        let found = check(&stack, &changes).await;
        assert_eq!(found.code, 69, "{:#}", found.report);
        found.blames("discovery", &["certificate", "IDP_CA_FILE"]);

        let table = run(&stack, &["check"], &changes).await;
        assert!(table.output.contains("IDP_CA_FILE"), "{}", table.output);

        let mut variables = stack.variables.clone();
        variables.retain(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        variables.extend(changes.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut server = Process::start(&stack.folder(), &[], &variables);
        server.says("IDP_CA_FILE").await;
    }
}
