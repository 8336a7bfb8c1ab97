//! What is logged while a test runs: every level, by the server and by everything that it is made of.

use std::{
    cell::{Cell, RefCell},
    io,
    marker::PhantomData,
    sync::Once,
};

use tracing_subscriber::{
    Layer as _, filter::dynamic_filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

thread_local! {
    static CAPTURING: Cell<bool> = const { Cell::new(false) };
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The log of one test, from [`capture`](Self::capture) until it is dropped.
///
/// A test and all that it starts share one thread, since the tests' runtime has only that one; what other tests log
/// meanwhile goes elsewhere.
pub struct Logs {
    /// The log stays with its thread.
    _thread: PhantomData<*const ()>,
}

/// Writes to the log of the test that runs on this thread.
struct Writer;

// === impl Logs ===

impl Logs {
    /// From now on everything is kept.
    pub fn capture() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let layer = fmt::layer().with_ansi(false).with_writer(|| Writer);
            tracing_subscriber::registry()
                .with(layer.with_filter(dynamic_filter_fn(|_, _| CAPTURING.get())))
                .init();
        });
        TEXT.with_borrow_mut(Vec::clear);
        CAPTURING.set(true);
        Self { _thread: PhantomData }
    }

    /// Everything so far, one event a line.
    #[expect(clippy::unused_self, reason = "proves that something is being captured")]
    pub fn text(&self) -> String {
        TEXT.with_borrow(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// The lines with `part` in them.
    pub fn lines_with(&self, part: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        CAPTURING.set(false);
    }
}

// === impl Writer ===

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
