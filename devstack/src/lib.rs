//! Everything a person needs on a laptop to see the server at work: the development IdP, a sample API and a sample page.
//!
//! Never part of the server or its image.

pub mod command;
pub mod idp_alone;
pub mod idp_health;
mod mint;
pub mod page;
mod ports;
pub mod sample_api;
pub mod stack;

/// Writes text for a person to standard output.
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
