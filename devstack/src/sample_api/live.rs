//! Answers that stay open: an echo over a WebSocket (RFC 6455), and a clock as server-sent events.

use std::{convert::Infallible, time::Duration};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{Api, Caller, no_store};

/// Between two events.
const TICK: Duration = Duration::from_secs(1);
/// A longer message closes the WebSocket with status 1009, in bytes.
const MAX_MESSAGE: u64 = 64 * 1024;

/// `GET /echo`: sends back each message.
pub(super) async fn echo(_: Caller, mut request: Request) -> Response {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    let (Some(key), upgrade) = (key, hyper::upgrade::on(&mut request)) else {
        return (StatusCode::UPGRADE_REQUIRED, "open a WebSocket here").into_response();
    };
    let accept = [key.as_bytes(), b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"].concat();
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &accept));
    tokio::spawn(async move {
        if let Ok(io) = upgrade.await
            && let Err(error) = serve(&mut TokioIo::new(io)).await
        {
            tracing::debug!(%error, "a WebSocket broke off");
        }
    });
    let fields = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, fields).into_response()
}

async fn serve(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<()> {
    loop {
        let (first, second) = (io.read_u8().await?, io.read_u8().await?);
        let length = match second & 0x7f {
            0x7e => u64::from(io.read_u16().await?),
            0x7f => io.read_u64().await?,
            short => u64::from(short),
        };
        if length > MAX_MESSAGE {
            return write(io, 0x88, &1009_u16.to_be_bytes()).await;
        }
        let mut mask = [0; 4];
        io.read_exact(&mut mask).await?;
        let mut content = vec![0; usize::try_from(length).unwrap_or_default()];
        io.read_exact(&mut content).await?;
        for (byte, mask) in content.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        match first & 0x0f {
            0x8 => return write(io, 0x88, &content).await,
            0x9 => write(io, 0x8a, &content).await?,
            0xa => {}
            _ => write(io, first, &content).await?,
        }
    }
}

async fn write(io: &mut (impl AsyncWrite + Unpin), first: u8, content: &[u8]) -> std::io::Result<()> {
    let mut frame = vec![first];
    match u16::try_from(content.len()) {
        Ok(length @ 0..=125) => frame.push(length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x7e);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x7f);
            frame.extend((content.len() as u64).to_be_bytes());
        }
    }
    frame.extend(content);
    io.write_all(&frame).await
}

/// `GET /ticks`: the time, once a second, for ever.
pub(super) async fn ticks(State(Api(api)): State<Api>, _: Caller) -> Response {
    let clock = api.options.clock.clone();
    let events = stream::unfold(0_u64, move |number| {
        let clock = clock.clone();
        async move {
            if number > 0 {
                clock.sleep(TICK).await;
            }
            let event = format!("id: {number}\ndata: {}\n\n", clock.now().unix_seconds());
            Some((Ok::<_, Infallible>(event), number + 1))
        }
    });
    let mut answer = no_store(Body::from_stream(events));
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_back() {
        let (mut client, mut service) = tokio::io::duplex(1_024);
        let serving = tokio::spawn(async move { serve(&mut service).await });
        // "hi" under a mask, a ping, and a close frame.
        client
            .write_all(&[0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2])
            .await
            .unwrap();
        client.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
        client
            .write_all(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8])
            .await
            .unwrap();
        let mut said = Vec::new();
        serving.await.unwrap().unwrap();
        client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, [0x81, 2, b'h', b'i', 0x8a, 0, 0x88, 2, 3, 0xe8]);
    }
}
