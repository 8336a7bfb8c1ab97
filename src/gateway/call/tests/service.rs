//! The settings of one service: its times, its protocol, its header fields.

use super::*;

/// A gateway with one service with `settings`, below `/api/*` and, as streams, below `/live/*`.
fn gateway_with(address: SocketAddr, settings: &str, clock: SharedClock) -> Gateway {
    let routes = format!(
        "services:
  api: {{ base_url: 'http://{address}', {settings} }}
routes:
  - {{ id: api, path: /api/*, target_service: api, preserve_path: true }}
  - {{ id: live, path: /live/*, target_service: api, preserve_path: true, streaming: true }}
"
    );
    Gateway::new(Routes::parse(&routes).unwrap(), Options::default(), clock).unwrap()
}

/// A service whose answer has the given body, once.
async fn answering(body: Body) -> SocketAddr {
    let body = Arc::new(parking_lot::Mutex::new(Some(body)));
    serve(move |_| async move { Response::new(body.lock().take().unwrap()) }).await
}

#[tokio::test]
async fn the_total_time_of_a_call_ends_before_its_answer_begins() {
    let (arrived, mut arrivals) = mpsc::channel(1);
    let address = serve(move |_| async move {
        arrived.send(()).await.unwrap();
        std::future::pending::<Response<Body>>().await
    })
    .await;
    let (clock, shared) = manual();
    let gateway = gateway_with(address, "timeout: { first_byte: 60s, total: 10s }", shared);
    for body in [Body::empty(), Body::from("text")] {
        let answer = call(&gateway, request(Method::POST, "/api/x", body), logged_in());
        tokio::pin!(answer);
        tokio::select! {
            _ = &mut answer => panic!("answered"),
            _ = arrivals.recv() => {}
        }
        clock.advance(secs(9));
        assert!(futures_util::poll!(&mut answer).is_pending());
        clock.advance(secs(1));
        assert_eq!(answer.await.unwrap_err(), GatewayError::GatewayTimeout);
    }
}

#[tokio::test]
async fn the_total_time_of_a_call_cuts_its_answer_but_no_stream() {
    for (path, is_cut) in [("/api/x", true), ("/live/x", false)] {
        let (sender, body) = channel();
        let address = answering(body).await;
        let (clock, shared) = manual();
        let gateway = gateway_with(address, "timeout: { total: 10s, idle: 5s }", shared);
        let response = call(&gateway, request(Method::GET, path, Body::empty()), logged_in())
            .await
            .unwrap();
        let mut answer = response.into_body();
        for _ in 0..2 {
            let frame = answer.frame();
            tokio::pin!(frame);
            assert_waits(&mut frame).await;
            clock.advance(secs(4));
            sender.send(Ok(Bytes::from_static(b"event"))).await.unwrap();
            assert_eq!(frame.await.unwrap().unwrap().into_data().unwrap(), "event");
        }
        let frame = answer.frame();
        tokio::pin!(frame);
        assert_waits(&mut frame).await;
        // Two seconds are left of the ten, and five of the silence.
        clock.advance(secs(3));
        if is_cut {
            let error = frame.await.unwrap().unwrap_err();
            assert!(format!("{error:?}").contains("Late"), "{error:?}");
        } else {
            clock.advance(secs(3600));
            sender.send(Ok(Bytes::from_static(b"event"))).await.unwrap();
            assert_eq!(frame.await.unwrap().unwrap().into_data().unwrap(), "event");
        }
    }
}

#[tokio::test]
async fn a_service_has_its_own_bound_on_silence() {
    let (_sender, body) = channel();
    let address = answering(body).await;
    let (clock, shared) = manual();
    let gateway = gateway_with(address, "timeout: { idle: 5s }", shared);
    let response = call(
        &gateway,
        request(Method::GET, "/api/x", Body::empty()),
        logged_in(),
    )
    .await
    .unwrap();
    let mut answer = response.into_body();
    let frame = answer.frame();
    tokio::pin!(frame);
    assert_waits(&mut frame).await;
    clock.advance(secs(5));
    assert!(frame.await.unwrap().is_err());
}

#[tokio::test]
async fn a_service_speaks_http_2_over_plain_tcp_if_it_says_so() {
    for (settings, expected) in [("h2c: true", "HTTP/2.0"), ("h2c: false", "HTTP/1.1")] {
        let address = serve(|request: Request<Body>| async move {
            Response::new(Body::from(format!("{:?}", request.version())))
        })
        .await;
        let gateway = gateway_with(address, settings, system_clock());
        for _ in 0..2 {
            let response = call(
                &gateway,
                request(Method::GET, "/api/x", Body::empty()),
                logged_in(),
            );
            assert_eq!(text(response.await.unwrap()).await, expected);
        }
    }
}

#[tokio::test]
async fn attack_4_a_set_field_replaces_that_of_the_client() {
    let api = Api::start().await;
    let settings = "headers: { set: { X-Tenant: acme, X-Key: planted } }";
    let gateway = gateway_with(api.address, settings, system_clock());
    let mut request = request(Method::GET, "/api/x", Body::empty());
    for value in ["evil", "worse"] {
        request
            .headers_mut()
            .append("x-tenant", HeaderValue::from_static(value));
    }
    request
        .headers_mut()
        .insert("connection", HeaderValue::from_static("x-key"));
    call(&gateway, request, logged_in()).await.unwrap();
    let seen = api.only();
    let values: Vec<_> = seen.headers.get_all("x-tenant").iter().collect();
    assert_eq!(values, ["acme"]);
    assert_eq!(seen.headers["x-key"], "planted");
    assert!(!format!("{gateway:?}").contains("planted"));
}
