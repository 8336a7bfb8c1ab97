//! Captures the log of a test. Shared by the tests of modules and those in `tests/`.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Captures the log of this thread while it lives: everything of a stack that this test starts, except blocking
/// threads. Create it before the stack.
pub(crate) struct Logs {
    text: Captured,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

// === impl Logs ===

impl Logs {
    /// Captures everything that the server itself says, down to `trace`.
    pub(crate) fn capture() -> Self {
        Self::with_filter("bff=trace")
    }

    /// Also captures the log lines of libraries.
    pub(crate) fn capture_everything() -> Self {
        Self::with_filter("trace")
    }

    fn with_filter(filter: &str) -> Self {
        /// While there is one subscriber only, a call site that another thread meets first, without that subscriber,
        /// would be switched off for all.
        static SECOND: OnceLock<tracing::Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()));
        let text = Captured::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(text.clone())
            .finish();
        let subscriber = super::in_words(subscriber);
        Self {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// All lines so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.0.lock().clone()).unwrap()
    }

    /// Forgets the captured lines.
    pub(crate) fn clear(&self) {
        self.text.0.lock().clear();
    }

    /// Expects exactly this line, from its level to its end, and exactly once.
    #[track_caller]
    pub(crate) fn has_line(&self, level: &str, message: &str) {
        let line = format!("{level} {message}");
        let text = self.text();
        let found = text.lines().filter(|found| found.trim_start() == line).count();
        assert_eq!(found, 1, "{line:?} in:\n{text}");
    }

    /// Expects exactly one line of this level with `part` in it; the line.
    #[track_caller]
    pub(crate) fn has_part(&self, level: &str, part: &str) -> String {
        let lines = self.lines(level);
        let mut found = lines.into_iter().filter(|line| line.contains(part));
        let (Some(line), None) = (found.next(), found.next()) else {
            panic!("not once: {level} {part:?} in:\n{}", self.text());
        };
        line
    }

    /// `part` is there.
    #[track_caller]
    pub(crate) fn has(&self, part: &str) {
        assert!(self.text().contains(part), "no {part:?} in:\n{}", self.text());
    }

    /// How many lines have `part` in them, such as a level.
    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines_with(part).len()
    }

    /// The lines with `part` in them.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(part));
        lines.map(str::to_owned).collect()
    }

    /// The lines of a level.
    pub(crate) fn lines(&self, level: &str) -> Vec<String> {
        self.text()
            .lines()
            .filter(|line| line.trim_start().starts_with(level))
            .map(ToOwned::to_owned)
            .collect()
    }
}

// === impl Captured ===

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Captured {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
