//! What the server answers itself.

mod access;
mod claims;
mod csrf;
mod health;
mod jwks;
mod pages;
mod problems;
mod session;
mod tokens_stay;
mod verify;
