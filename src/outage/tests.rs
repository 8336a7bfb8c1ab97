use std::io::ErrorKind;

use super::{testing::in_our_words, *};

#[derive(Debug, thiserror::Error)]
#[error("client error (Connect)")]
struct Wrapper(#[source] io::Error);

#[test]
fn an_outage_is_known_by_the_types_of_its_causes() {
    for (kind, outage) in [
        (ErrorKind::ConnectionRefused, Outage::Refused),
        (ErrorKind::ConnectionReset, Outage::Ended),
        (ErrorKind::BrokenPipe, Outage::Ended),
        (ErrorKind::UnexpectedEof, Outage::Unfinished),
        (ErrorKind::TimedOut, Outage::TimedOut),
        (ErrorKind::HostUnreachable, Outage::NoRoute),
        (ErrorKind::NetworkUnreachable, Outage::NoRoute),
        (ErrorKind::PermissionDenied, Outage::NotPermitted),
        (ErrorKind::OutOfMemory, Outage::Shortage),
        (ErrorKind::InvalidData, Outage::Unknown),
    ] {
        let wrapped = io::Error::other(Wrapper(io::Error::other(io::Error::from(kind))));
        assert_eq!(Outage::of(&wrapped), outage, "{kind}");
        in_our_words(&Outage::of(&wrapped).to_string());
    }
    let no_files = io::Error::from_raw_os_error(24);
    assert_eq!(Outage::of(&Wrapper(no_files)), Outage::Shortage);
    let http2 = h2::Error::from(h2::Reason::PROTOCOL_ERROR);
    assert_eq!(Outage::of(&http2), Outage::NotHttp2);
    let enough = h2::Error::from(h2::Reason::ENHANCE_YOUR_CALM);
    assert_eq!(Outage::of(&enough), Outage::Ended);
}

#[test]
fn the_words_of_libraries_are_kept_for_the_log() {
    let error = Wrapper(io::Error::from(ErrorKind::ConnectionRefused));
    assert_eq!(causes(&error), "client error (Connect): connection refused");
}

#[tokio::test]
async fn a_name_without_an_address_is_an_outage() {
    let error = addresses("no-such-host.invalid", 1).await.unwrap_err();
    assert_eq!(Outage::of(&io::Error::other(error)), Outage::NoAddress);
    let address = |text: &str| vec![text.parse::<SocketAddr>().unwrap()];
    assert_eq!(addresses("[::1]", 2).await.unwrap(), address("[::1]:2"));
    assert_eq!(addresses("127.0.0.1", 3).await.unwrap(), address("127.0.0.1:3"));
}
