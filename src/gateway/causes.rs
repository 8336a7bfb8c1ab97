//! Errors for the log.

use std::{error::Error, fmt::Write as _};

/// An error with all its causes, for the log. Those of hyper name no URL.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
