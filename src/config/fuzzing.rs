//! Doors for `fuzz/`, which are there in its builds only (`--cfg fuzzing`).

use super::settings_file;

/// Reads the text of `settings.yaml`: the number of settings, or the complaint.
///
/// # Errors
///
/// The message, as printed.
pub fn settings(text: &str) -> Result<usize, String> {
    settings_file::parse(text)
        .map(|settings| settings.len())
        .map_err(|complaint| format!("{complaint:?}"))
}
