use super::{testing::CA, *};

/// How many authorities there are.
fn count(roots: &SystemRoots) -> usize {
    roots.store().roots.len()
}

#[test]
fn ssl_cert_file_and_dirs_replace_the_system_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (file, certs) = (folder.path().join("ca.pem"), folder.path().join("certs"));
    std::fs::write(&file, CA).unwrap();
    std::fs::create_dir(&certs).unwrap();
    assert_eq!(count(&SystemRoots::new(Some(file.clone()), Vec::new())), 1);
    assert_eq!(count(&SystemRoots::new(None, vec![certs.clone()])), 0);
    std::fs::write(certs.join("0a1b2c3d.0"), testing::NAMED).unwrap();
    let folders = vec![folder.path().join("gone"), certs];
    assert_eq!(count(&SystemRoots::new(None, folders.clone())), 1);
    assert_eq!(count(&SystemRoots::new(Some(file), folders)), 2);
    assert_eq!(count(&SystemRoots::none()), 0);
}

#[test]
fn what_cannot_be_read_is_told_once() {
    let logs = crate::telemetry::testing::Logs::capture();
    let roots = SystemRoots::new(Some("/nonexistent/ca.pem".into()), Vec::new());
    assert_eq!(count(&roots) + count(&roots.clone()), 0);
    logs.has("the system's certificate authorities cannot be read: ");
    logs.has("[SystemCa] or [SystemCaFolder]");
    logs.has("/nonexistent/ca.pem");
    assert_eq!(logs.count("WARN"), 1, "{}", logs.text());
}

#[test]
fn a_bundle_is_a_file_with_certificates_that_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let read = |content: &[u8]| {
        std::fs::write(&file, content).unwrap();
        read_bundle(&file).and_then(|pem| Bundle::parse(&pem))
    };
    assert_eq!(
        read(&[CA, testing::NAMED].concat()).unwrap().certificates.len(),
        2
    );
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(read(broken), Err(BundleError::Unusable(_))));
    let large = [CA, &vec![b'\n'; 1024 * 1024]].concat();
    for content in [&b""[..], b"no bundle", testing::NAMED_KEY, &large] {
        assert!(matches!(read(content), Err(BundleError::NoBundle)));
    }
    assert!(matches!(read_bundle(folder.path()), Err(BundleError::NoBundle)));
    let gone = folder.path().join("gone");
    assert!(matches!(read_bundle(&gone), Err(BundleError::Unreadable(_))));
}
