//! Registration at the development IdP, through the whole server.

mod credentials;
mod first;
mod idp_files;
mod lasting;
mod live;
mod management;
mod methods;
mod refused;
mod replace;
mod restart;

use devstack_idp::{Endpoint, MintIat, Recorded};
use serde_json::Value;

use crate::support::Stack;

/// The requests to the registration endpoint and to the client's own, each in order.
fn calls(stack: &Stack) -> Vec<String> {
    let of = |endpoint| stack.idp.requests(endpoint).into_iter();
    of(Endpoint::Register)
        .chain(of(Endpoint::RegistrationManagement))
        .map(|call| format!("{} {}", call.method, call.path))
        .collect()
}

/// The one call with this method to the client's own endpoint.
#[track_caller]
fn management(stack: &Stack, method: &str) -> Recorded {
    let mut calls = stack.idp.requests(Endpoint::RegistrationManagement);
    calls.retain(|call| call.method.as_str() == method);
    assert_eq!(calls.len(), 1, "{method}");
    calls.remove(0)
}

/// The credentials file.
fn file(stack: &Stack) -> Value {
    serde_json::from_slice(&std::fs::read(stack.credentials()).unwrap()).unwrap()
}

/// A fresh initial access token.
fn fresh_iat(stack: &Stack) -> String {
    stack.idp.mint_iat(MintIat::default())
}

/// The registered metadata of `bff-server`.
fn registered(stack: &Stack) -> Value {
    stack.idp.registered_client("bff-server").unwrap()
}
