//! Forwarded calls: which ones, in which form, and which never.

mod bearer;
mod bodies;
mod cookies;
mod cors;
mod failures;
mod files;
mod headers;
mod hostile;
mod http2;
mod limits;
mod paths;
mod policy;
mod proofs;
mod proxies;
mod rates;
mod refused;
mod reload;
mod rewrite;
mod routing;
mod step_up;
mod streams;
mod tokens;
mod trailers;
mod tunnels;
mod websockets;
mod wire;
