//! The development stack in a real browser: headless Chromium, driven through chromedriver.
//!
//! `scripts/phases/browser` installs both if they are missing. Screenshots for people go to `target/browser/`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    reason = "a test that fails says so by panicking; nobody else sees this crate"
)]

mod chromium;
mod cookies;
mod device;
mod journey;
mod live;
mod network_log;
mod page_of_the_document;
mod pages;
mod person;
mod preview;
mod react_example;
mod secure;
mod side_by_side;
mod stack;
mod tokens;
mod webdriver;
