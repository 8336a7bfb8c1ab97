//! What the tests stand on: a whole stack on free ports, with a clock that moves only when it is told to.

mod api;
mod browser;
mod logs;
mod stack;

pub use self::{
    api::{Api, Call},
    browser::{Browser, Reply},
    logs::Logs,
    stack::{Builder, HOSTS, Stack, pause},
};
