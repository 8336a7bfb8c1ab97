//! Texts for snapshots, without the values that differ between runs.

use super::Stack;

/// A key id is a thumbprint (RFC 7638) of this many letters.
const KEY_ID: usize = 43;

/// The length of `2026-11-23T`, with which a time begins.
const DAY: usize = 11;

/// `text` without the folder of the test, times, ports, key ids and the version.
pub fn redacted(text: &str, stack: &Stack) -> String {
    let folder = stack.folder();
    let text = text.replace(&folder.display().to_string(), "FOLDER");
    let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let mut rest = text.as_str();
    let mut out = String::new();
    while let Some(first) = rest.chars().next() {
        if is_time(rest) {
            out += "TIME";
            rest = rest.split_once('Z').map_or("", |(_, after)| after);
            continue;
        }
        let length = rest.find(|letter| !is_of_a_word(letter)).unwrap_or(rest.len());
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(length);
        let is_port = out.ends_with(':') && word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
        out += match word.len() {
            KEY_ID => "KEY-ID",
            _ if is_port => "PORT",
            _ => word,
        };
        rest = after;
    }
    out
}

const fn is_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_')
}

fn is_time(text: &str) -> bool {
    let day = text.as_bytes().get(..DAY).unwrap_or_default();
    let is_day = |(index, byte): (usize, &u8)| match index {
        4 | 7 => *byte == b'-',
        10 => *byte == b'T',
        _ => byte.is_ascii_digit(),
    };
    day.len() == DAY && day.iter().enumerate().all(is_day)
}
