//! Reports the place of a panic, and nothing of its message.

use std::{
    io::Write as _,
    panic::{self, Location},
    thread,
};

/// From now on reports panics only by their place, in the log and on standard error: a panic message may quote
/// anything, also a token.
pub fn report_places_only() {
    panic::set_hook(Box::new(|panic| {
        let line = describe(panic.location(), thread::current().name());
        tracing::error!("{line}");
        // Also if the log filter suppresses it, or logging has not begun. Standard error may be closed.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }));
}

fn describe(location: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = thread.unwrap_or("without a name");
    format!("a panic at {place}, in the thread {thread}; this is an error of the server, please report it")
}
