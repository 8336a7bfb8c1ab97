//! The server's own endpoints.

mod access;
mod claims;
mod counted;
mod csrf;
mod csrf_cookie;
mod events;
mod health;
mod jwks;
mod pages;
mod problems;
mod security_headers;
mod session;
mod sessions;
mod start_page;
mod tokens_stay;
mod verify;
mod verify_by_routes;
