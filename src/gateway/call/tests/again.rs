//! Repeated calls: the connection of the first attempt was closing.

use super::*;
use crate::{
    credential::Credential,
    gateway::{Around, Private, TokenDefaults},
    tls::testing,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The reaction of a service to a request.
#[derive(Clone, Copy)]
enum Act {
    Answer,
    /// Closes the connection without a byte of an answer.
    Close,
    /// Closes it after some bytes of one.
    BreakOff,
}

use Act::{Answer, BreakOff, Close};

/// A request that arrived: on which connection, its method, its body.
type Seen = (usize, String, Vec<u8>);

/// A service that handles the requests of each connection as `script` says, one connection after the other.
async fn scripted(script: &'static [&'static [Act]]) -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let notes = Arc::clone(&seen);
    tokio::spawn(async move {
        for (at, acts) in script.iter().enumerate() {
            let (mut stream, _) = listener.accept().await.unwrap();
            for act in *acts {
                let Some((method, body)) = read(&mut stream).await else {
                    break;
                };
                notes.lock().push((at, method, body));
                let answer: &[u8] = match act {
                    Answer => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                    Close => b"",
                    BreakOff => b"HTTP/1.1 2",
                };
                stream.write_all(answer).await.unwrap();
                if !matches!(act, Answer) {
                    break;
                }
            }
        }
    });
    (address, seen)
}

/// The next request of a connection.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec())
                .unwrap()
                .to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.lines().next().unwrap().trim().parse::<usize>().unwrap()
            });
            if read.len() >= end + 4 + length {
                let method = head.split(' ').next().unwrap().to_ascii_uppercase();
                return Some((method, read[end + 4..end + 4 + length].to_vec()));
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

/// Calls, reads the answer and lets the connection go back into the pool.
async fn complete(gateway: &Gateway, method: Method, body: Body) -> Result<StatusCode, GatewayError> {
    let response = call(gateway, request(method, "/api/x", body), logged_in()).await?;
    let status = response.status();
    assert_eq!(text(response).await, "ok");
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    Ok(status)
}

#[tokio::test]
async fn an_idempotent_call_is_repeated_after_a_close() {
    for (method, body) in [
        (Method::GET, ""),
        (Method::HEAD, ""),
        (Method::DELETE, ""),
        (Method::PUT, "text"),
    ] {
        let (address, seen) = scripted(&[&[Answer, Close], &[Answer]]).await;
        let gateway = gateway(address, system_clock());
        complete(&gateway, Method::GET, Body::empty()).await.unwrap();
        let again = call(
            &gateway,
            request(method.clone(), "/api/x", Body::from(body)),
            logged_in(),
        )
        .await;
        assert_eq!(again.unwrap().status(), StatusCode::OK, "{method}");
        let seen = seen.lock();
        let expected = (method.to_string(), body.as_bytes().to_vec());
        for (at, connection) in [(1, 0), (2, 1)] {
            let (on, method, body) = seen[at].clone();
            assert_eq!((on, (method, body)), (connection, expected.clone()));
        }
    }
}

#[tokio::test]
async fn a_call_that_could_act_twice_is_sent_once() {
    for method in [Method::POST, Method::PATCH] {
        let (address, seen) = scripted(&[&[Answer, Close], &[Answer]]).await;
        let gateway = gateway(address, system_clock());
        complete(&gateway, Method::GET, Body::empty()).await.unwrap();
        let again = complete(&gateway, method, Body::from("text")).await;
        assert_eq!(again, Err(GatewayError::BadGateway));
        assert_eq!(seen.lock().len(), 2);
    }
}

/// Not after a byte of an answer, nor on a fresh connection.
#[tokio::test]
async fn a_call_is_repeated_at_most_once() {
    const SCRIPTS: [(&[&[Act]], usize); 3] = [
        (&[&[Answer, Close], &[Close], &[Answer]], 3),
        (&[&[Answer, BreakOff], &[Answer]], 2),
        (&[&[Close], &[Answer]], 1),
    ];
    for (script, calls) in SCRIPTS {
        let (address, seen) = scripted(script).await;
        let gateway = gateway(address, system_clock());
        if matches!(script[0], [Answer, ..]) {
            complete(&gateway, Method::GET, Body::empty()).await.unwrap();
        }
        let again = complete(&gateway, Method::GET, Body::empty()).await;
        assert_eq!(again, Err(GatewayError::BadGateway));
        assert_eq!(seen.lock().len(), calls);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_to_hold_is_sent_once() {
    for (length, expected) in [
        (64 * 1024, Ok(StatusCode::OK)),
        (64 * 1024 + 1, Err(GatewayError::BadGateway)),
    ] {
        let (address, _seen) = scripted(&[&[Answer, Close], &[Answer]]).await;
        let gateway = gateway(address, system_clock());
        complete(&gateway, Method::GET, Body::empty()).await.unwrap();
        let again = complete(&gateway, Method::PUT, Body::from(vec![7; length])).await;
        assert_eq!(again, expected, "{length}");
    }
}

#[tokio::test]
async fn a_call_can_be_sent_again_with_another_credential() {
    let api = Api::start().await;
    let gateway = gateway(api.address, system_clock());
    let path = NormalPath::parse("/api/x").unwrap();
    let table = gateway.table();
    let Found::Match(matched) = table.find("", &path, &Method::POST) else {
        panic!("no route");
    };
    let request = request(Method::POST, "/api/x", Body::from("text"));
    let mut call = gateway.call(&table, matched, request, logged_in()).unwrap();
    call.send().await.unwrap();
    assert!(call.can_be_repeated());
    let another = Credential::bearer(HeaderValue::from_static("Bearer another"));
    call.send_again(&another).await.unwrap();
    let seen = api.seen();
    assert_eq!(seen[0].headers["authorization"], "Bearer our-token");
    assert_eq!(seen[1].headers["authorization"], "Bearer another");
    assert_eq!(seen[1].headers["content-length"], "4");
}

/// The reaction of an HTTP/2 service to a request.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Answer,
    /// Closes the connection at once.
    Close,
    /// Says that it takes no more (`GOAWAY`), and closes it.
    GoAway,
    /// Says that it did not take this one (`REFUSED_STREAM`), and answers others.
    Refuse,
    /// Says that this one failed (`INTERNAL_ERROR`).
    Fail,
}

/// The same over HTTP/2, on which both agree over TLS. Counts the requests of each connection.
async fn scripted_over_http2(script: &'static [&'static [Reply]]) -> (SocketAddr, Arc<Mutex<Vec<usize>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(testing::http2_config()));
    tokio::spawn(async move {
        for (at, frames) in script.iter().enumerate() {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            for frame in *frames {
                let Some(Ok((_, mut respond))) = connection.accept().await else {
                    break;
                };
                notes.lock().push(at);
                match frame {
                    Reply::Answer => {
                        let mut body = respond.send_response(Response::new(()), false).unwrap();
                        body.send_data(Bytes::from_static(b"ok"), true).unwrap();
                    }
                    Reply::Close => break,
                    Reply::GoAway => connection.abrupt_shutdown(h2::Reason::NO_ERROR),
                    Reply::Refuse => respond.send_reset(h2::Reason::REFUSED_STREAM),
                    Reply::Fail => respond.send_reset(h2::Reason::INTERNAL_ERROR),
                }
            }
            if matches!(frames.last(), Some(Reply::Close)) {
                drop(connection);
            } else {
                // The written bytes have to leave first.
                tokio::spawn(async move { while connection.accept().await.is_some() {} });
            }
        }
    });
    (address, seen)
}

fn gateway_over_tls(address: SocketAddr) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), testing::CA).unwrap();
    let port = address.port();
    let yaml = format!(
        "services:
  api: {{ base_url: 'https://localhost:{port}', ca_file: ca.pem }}
routes:
  - {{ id: api, path: /api/*, target_service: api }}
"
    );
    let around = Around {
        variables: &|_| None,
        folder: Some(folder.path()),
        tokens: &TokenDefaults::NONE,
        private: &Private::default(),
        unchecked: false,
    };
    let routes = Routes::parse_with(&yaml, &around).unwrap();
    Gateway::new(routes, Options::default(), system_clock()).unwrap()
}

/// It is idempotent.
#[tokio::test]
async fn an_unprocessed_http_2_call_is_repeated() {
    use Reply::{Answer, Close, Fail, GoAway, Refuse};
    type Case = (&'static [&'static [Reply]], Method, Option<&'static [usize]>);
    let cases: [Case; 8] = [
        (&[&[Answer, Close], &[Answer]], Method::GET, Some(&[0, 0, 1])),
        (&[&[Answer, Close], &[Answer]], Method::PUT, Some(&[0, 0, 1])),
        (&[&[Answer, GoAway], &[Answer]], Method::GET, Some(&[0, 0, 1])),
        (&[&[Answer, Refuse, Answer]], Method::GET, Some(&[0, 0, 0])),
        // It was taken, or may have been.
        (&[&[Answer, Fail, Answer]], Method::GET, None),
        (&[&[Answer, Close], &[Answer]], Method::POST, None),
        // A connection that never answered, and a second failure.
        (&[&[Close], &[Answer]], Method::GET, None),
        (&[&[Answer, Close], &[Close], &[Answer]], Method::GET, None),
    ];
    for (script, method, expected) in cases {
        let (address, seen) = scripted_over_http2(script).await;
        let gateway = gateway_over_tls(address);
        if matches!(script[0], [Answer, ..]) {
            complete(&gateway, Method::GET, Body::empty()).await.unwrap();
        }
        let answer = complete(&gateway, method.clone(), Body::from("text")).await;
        match expected {
            Some(expected) => {
                assert_eq!(answer, Ok(StatusCode::OK), "{method} {script:?}");
                assert_eq!(*seen.lock(), expected, "{method} {script:?}");
            }
            None => assert_eq!(answer, Err(GatewayError::BadGateway), "{method} {script:?}"),
        }
    }
}
