//! What a panic says: where it happened, and nothing of what it was about.

use std::{
    io::Write as _,
    panic::{self, Location},
    thread,
};

/// Reports panics by their place alone from now on, in the log and on standard error: what a panic says may quote
/// anything, also a token.
pub fn report_places_only() {
    panic::set_hook(Box::new(|panic| {
        let line = describe(panic.location(), thread::current().name());
        tracing::error!("{line}");
        // Also where the log filter silences that, or nobody listens yet. Standard error may be gone.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }));
}

fn describe(location: Option<&Location<'_>>, thread: Option<&str>) -> String {
    let place = location.map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = thread.unwrap_or("without a name");
    format!("a panic at {place}, in the thread {thread}; this is an error of the server, please report it")
}
