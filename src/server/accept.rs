//! The accept loop, and the loop that supervises accepted connections.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Body;
use hyper::{
    Request, Response,
    body::Incoming,
    rt::Timer as _,
    server::conn::{http1, http2},
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use super::{
    Answer, Options,
    body::{Received, Sent},
    connection::{Connection, Order},
    handling::{Lasting, Places},
    moment::Stopwatch,
    register::{Place, Register},
    stay::Stay,
    stream::Watched,
    underway::Listed,
    version::{Version, begin},
};
use crate::{
    clock::{SharedClock, timeout},
    head,
};

/// Whether a request with an oversized header was logged.
static TOLD: AtomicBool = AtomicBool::new(false);

/// The maximum number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;

/// The kept part of an answer for each HTTP/2 stream whose client does not read, in bytes.
const MAX_UNSENT: usize = 64 * 1024;

/// After an error of the listener (out of file descriptors, for example) it rests this long.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(200);

/// The interval between two checks of the connections.
const LOOK: Duration = Duration::from_secs(1);

/// A look that comes so late says that the process stood still: it was stopped, or its machine was.
const STOOD_STILL: Duration = Duration::from_secs(3);

/// After everything was cut off, the tasks have this long to end.
const AFTER_THE_CUT: Duration = Duration::from_secs(5);

/// Serves `answer` on `listener` until `stop`. How many requests did not finish then.
pub(super) async fn serve<A: Answer>(
    options: Options,
    clock: SharedClock,
    listener: TcpListener,
    answer: A,
    stop: CancellationToken,
) -> usize {
    let finish = options.finish;
    let register = Register::new(options);
    let tasks = register.tasks();
    let work = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(&listener, &register, &answer, &clock) => {}
        }
        drop(listener);
        register.finish_all();
        tasks.close();
        if timeout(&*clock, finish, tasks.wait()).await.is_ok() {
            return 0;
        }
        let cut = register.cut_all();
        // They end at the next moment at which they are woken.
        let timer = TokioTimer::new();
        tokio::select! {
            () = tasks.wait() => {}
            () = timer.sleep(AFTER_THE_CUT) => {}
        }
        cut
    };
    tokio::select! {
        cut = work => cut,
        () = look_after(&register) => 0,
    }
}

/// Accepts connections for ever.
async fn accept<A: Answer>(
    listener: &TcpListener,
    register: &Arc<Register>,
    answer: &A,
    clock: &SharedClock,
) {
    let builder = builder();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client has gone already.
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                register.out_of_files();
                clock.sleep(AFTER_ACCEPT_ERROR).await;
                continue;
            }
        };
        set_options(&stream);
        let place = register.admit(peer.ip());
        register
            .tasks()
            .spawn(connection(&builder, stream, place, answer.for_peer(peer)));
    }
}

/// Ends connections whose time is over, for ever.
pub(super) async fn look_after(register: &Register) {
    let watch = Stopwatch::start();
    let mut last = watch.now();
    loop {
        TokioTimer::new().sleep(LOOK).await;
        let now = watch.now();
        // A process that stood still has not read yet what came meanwhile. It would cut off clients that are not late.
        if now.since(last) < STOOD_STILL {
            register.look();
        }
        last = now;
    }
}

/// How each version of HTTP is spoken.
pub(super) struct Builder {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

pub(super) fn builder() -> Builder {
    let mut http1 = http1::Builder::new();
    http1
        .timer(TokioTimer::new())
        // The register knows better why the connection waits.
        .header_read_timeout(None)
        .max_headers(head::READ_FIELDS)
        .max_buf_size(head::READ_BYTES);
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(head::READ_BYTES).unwrap_or(u32::MAX))
        .max_send_buf_size(MAX_UNSENT)
        .keep_alive_interval(Some(Duration::from_secs(30)));
    Builder { http1, http2 }
}

/// Serves one connection to its end.
pub(super) fn connection<S, A>(
    builder: &Builder,
    stream: S,
    place: Place,
    answer: A,
) -> impl Future<Output = ()> + Send + use<S, A>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answer,
{
    let register = place.register();
    let connection = Arc::clone(&place.connection);
    let answer = Arc::new(answer);
    let requests = Arc::clone(&connection);
    let places = Places::new();
    let service = service_fn(move |request: Request<Incoming>| {
        let listed = Arc::new(Listed::new(&requests));
        let (turn, load) = register.turn(&requests);
        if requests.terms.beyond {
            requests.tell(Order::Finish);
        }
        let (mut head, body) = request.into_parts();
        if head.extensions.get::<OnUpgrade>().is_some() {
            head.extensions.insert(Stay::new(&listed, &register));
        }
        let received = Received::new(&head, body, &listed, &turn);
        let request = Request::from_parts(head, Body::new(received));
        let answer = Arc::clone(&answer);
        places.put(async move {
            let response = answer.answer(request, load).await;
            Ok::<_, Infallible>(Sent::of(response, listed, turn))
        })
    });
    let stream = Watched::new(stream, place);
    let (http1, http2) = (builder.http1.clone(), builder.http2.clone());
    async move {
        let begun = tokio::select! {
            biased;
            begun = begin(stream) => begun,
            // Nothing was asked yet.
            _ = connection.told() => return,
        };
        let (version, io) = match begun {
            Ok((version, stream)) => (version, TokioIo::new(stream)),
            Err(error) => {
                tracing::debug!(%error, "a connection ended early");
                return;
            }
        };
        match version {
            Version::Http1 => {
                let http = http1.serve_connection(io, service).with_upgrades();
                drive(http, http1::UpgradeableConnection::graceful_shutdown, &connection).await;
            }
            Version::Http2 => {
                connection.speaks_http2();
                let http = http2.serve_connection(io, service);
                // Rare, and large.
                Box::pin(drive(http, http2::Connection::graceful_shutdown, &connection)).await;
            }
        }
    }
}

/// Drives HTTP to its end. `finish` tells it to take no more requests.
async fn drive<H>(http: H, finish: impl Fn(Pin<&mut H>), connection: &Connection)
where
    H: Future<Output = hyper::Result<()>>,
{
    let mut http = pin!(http);
    loop {
        tokio::select! {
            biased;
            ended = http.as_mut() => {
                match ended {
                    Ok(()) => {}
                    // Once: a stranger can do this as often as it likes.
                    Err(error) if error.is_parse_too_large() && !TOLD.swap(true, Ordering::Relaxed) => tracing::warn!(
                        max_bytes = head::READ_BYTES,
                        max_fields = head::READ_FIELDS,
                        "a request was refused with 431: its header is too large"
                    ),
                    // A client that went away or does not speak HTTP; nothing an operator could do.
                    Err(error) => tracing::debug!(%error, "a connection ended early"),
                }
                return;
            }
            order = connection.told() => match order {
                Order::Finish => finish(http.as_mut()),
                Order::Cut => {
                    tracing::debug!("a connection was closed after its time");
                    return;
                }
            },
        }
    }
}

impl Lasting for Result<Response<Sent>, Infallible> {
    /// An answer of unknown length may be a stream.
    fn may_last(&self) -> bool {
        use hyper::body::Body as _;
        self.as_ref()
            .is_ok_and(|response| response.body().size_hint().exact().is_none())
    }
}

/// Small answers must not wait for more to come.
fn set_options(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a socket option could not be set");
    }
}

/// Whether an error is one of a connection that was just to be accepted, and says nothing of the next one.
fn is_of_the_client(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
