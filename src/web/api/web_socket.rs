//! A request that opens a WebSocket.

use std::borrow::Cow;

use axum::extract::Request;
use futures_util::{FutureExt as _, future};
use http::{
    HeaderValue, Method,
    header::{CONNECTION, SEC_WEBSOCKET_VERSION, UPGRADE},
};

use super::super::{
    Web,
    caller::Caller,
    problem::{Code, Problem},
};
use crate::{
    gateway::{Attended, GatewayError, Route, Stop, Upgrade},
    server::{Order, Stay},
};

/// The method that decides about the route: a WebSocket begins with GET, also over HTTP/2 (RFC 8441 section 5).
pub(super) fn method(upgrade: Option<Upgrade>, method: &Method) -> Cow<'_, Method> {
    if upgrade.is_some() && method == Method::CONNECT {
        Cow::Owned(Method::GET)
    } else {
        Cow::Borrowed(method)
    }
}

/// The needs of a WebSocket on `route`: a place among all of them, and the news of its connection. `None` if the request
/// opens none.
pub(super) fn attended(
    web: &Web,
    route: &Route,
    request: &mut Request,
    caller: Option<&Caller>,
) -> Result<Option<Attended>, Problem> {
    let stay = request.extensions_mut().remove::<Stay>();
    if Upgrade::of(request) != Some(Upgrade::WebSocket) || !route.takes_web_sockets() {
        return Ok(None);
    }
    let place = web.web_sockets().open(caller.map(|caller| &caller.key))?;
    Ok(Some(match stay {
        Some(stay) => Attended {
            stop: stay.told().map(stop_of).boxed(),
            kept: Box::new((place, stay.stay())),
        },
        None => Attended {
            stop: future::pending().boxed(),
            kept: Box::new(place),
        },
    }))
}

/// 426, with the version that would do.
pub(super) fn other_version(error: GatewayError) -> Problem {
    Problem::new(Code::WebSocketVersion, error.to_string())
        // RFC 6455 section 4.4.
        .with_field(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
        // RFC 9110 section 15.5.22.
        .with_field(UPGRADE, HeaderValue::from_static("websocket"))
        .with_field(CONNECTION, HeaderValue::from_static("upgrade"))
}

fn stop_of(order: Order) -> Stop {
    match order {
        Order::Finish => Stop::Server,
        Order::Cut => Stop::Cut,
    }
}
