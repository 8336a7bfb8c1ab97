//! `settings.yaml`: read or refused, and no message quotes other content of the file.

#![no_main]

use bff::config::fuzzing::settings;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "hunter2hunter2";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = settings(text);
    // The line of a secret, and a mistake somewhere after it.
    let beside = format!("auth_client_secret: {SECRET}\n{text}");
    if let Err(complaint) = settings(&beside) {
        assert!(!complaint.contains(SECRET), "the complaint shows a secret");
    }
});
