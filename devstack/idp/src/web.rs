//! The endpoints, one file each.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::provider::Provider;

mod admin_iat;
mod admin_token;
pub(crate) mod api_tokens;
mod authorize;
mod bearer;
mod consent;
mod cookies;
mod discovery;
mod error;
mod information;
mod interaction;
mod introspect;
mod jwks;
mod login;
mod logout;
mod manage;
mod page;
mod par;
pub(crate) mod params;
pub(crate) mod pipeline;
mod register;
mod revoke;
mod token;
mod userinfo;

/// The state for every handler.
type Shared = axum::extract::State<Arc<Provider>>;

pub(crate) fn router(provider: &Arc<Provider>) -> Router {
    let endpoints = Router::new()
        .route("/.well-known/openid-configuration", get(discovery::get))
        .route("/.well-known/oauth-authorization-server", get(discovery::get))
        .route("/jwks", get(jwks::get))
        .route("/register", post(register::post))
        .route(
            "/register/{client_id}",
            get(manage::get)
                .put(manage::put)
                .patch(manage::patch)
                .delete(manage::delete),
        )
        .route("/par", post(par::post))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/login", get(login::get).post(login::post))
        .route("/consent", get(consent::get).post(consent::post))
        .route("/token", post(token::post))
        .route("/userinfo", get(userinfo::get).post(userinfo::post))
        .route("/revoke", post(revoke::post))
        .route("/introspect", post(introspect::post))
        .route("/logout", get(logout::get).post(logout::post));
    let base = provider.base_path();
    let router = if base.is_empty() {
        endpoints
    } else {
        // RFC 8414, section 3.1: here the well-known part comes before the path of the issuer.
        let inserted = format!("/.well-known/oauth-authorization-server{base}");
        Router::new()
            .nest(base, endpoints)
            .route(&inserted, get(discovery::get))
    };
    router
        .route("/api/admin/dcr/initial-access-tokens", post(admin_iat::post))
        .route("/api/admin/dcr/clients/{client_id}/tokens", post(admin_token::post))
        // Outermost, so that a fault strikes before any handler, and on everything that a handler answers.
        .layer(middleware::from_fn_with_state(Arc::clone(provider), pipeline::run))
        .with_state(Arc::clone(provider))
}
