//! Damage to a value on its way into the environment: quotation marks that no shell removed, characters from a copy,
//! a reference that nothing expanded.
//!
//! The search comes before every parser. A parser would complain about the damaged value ("is not a URL"). A damaged
//! secret, which has no form to check, would fail only later, at the IdP.

use super::{
    catalogue::{Kind, Variable},
    problem::Complaint,
};

/// Text that people read may hold what joins and directs characters.
const FOR_PEOPLE: [&str; 2] = ["BRAND_NAME", "DCR_CLIENT_NAME"];

/// Secrets that are a token of an `Authorization` header field (RFC 6750 section 2.1).
const TOKENS: [&str; 2] = ["DCR_IAT", "BOOTSTRAP_ADMIN_TOKEN"];

/// The well-known paths of metadata (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
const WELL_KNOWN: &str = "/.well-known/";

/// A kind of damage.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Damage {
    /// The same quotation mark at both ends.
    Quoted,
    /// A quotation mark at one end.
    HalfQuoted(End),
    ByteOrderMark,
    Invisible(char),
    /// A line end or another control character.
    Control(char),
    Blank,
    Semicolons,
    /// The name in `${NAME}`.
    Reference(String),
    /// `Bearer` before a token.
    Scheme,
    /// The answer of an admin API, which contains the token.
    Answer,
    /// The path of a mounted secret.
    Mounted,
    /// An issuer with the place of its metadata.
    WellKnown(String),
}

/// The kind of value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Begins,
    Ends,
}

/// The damage to `text`, the value of `variable`, with its fix. Quotes nothing of a secret. `may_refer` tells whether
/// `${NAME}` has no meaning at the place of the value.
pub(super) fn complaint(variable: &Variable, text: &str, may_refer: bool) -> Option<Complaint> {
    let damage = find(variable, text, may_refer)?;
    Some(damage.complaint(variable))
}

fn find(variable: &Variable, text: &str, may_refer: bool) -> Option<Damage> {
    if is_pem(text) {
        return None;
    }
    marks(variable, text)
        .or_else(|| quotation(text))
        .or_else(|| {
            (!may_refer)
                .then(|| reference(variable, text))
                .flatten()
                .map(Damage::Reference)
        })
        .or_else(|| shape(variable, text))
}

/// The parser of paths reports a key in place of its file. The secret `REDIS_CLIENT_KEY` contains a key.
fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN")
}

/// Characters that cannot be seen.
fn marks(variable: &Variable, text: &str) -> Option<Damage> {
    if text.starts_with('\u{feff}') {
        return Some(Damage::ByteOrderMark);
    }
    if FOR_PEOPLE.contains(&variable.name) {
        return None;
    }
    text.chars().find_map(|character| match character {
        '\u{ad}'
        | '\u{a0}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => Some(Damage::Invisible(character)),
        // Entries of a list may stand on lines of their own.
        character if character.is_control() && !(variable.is_list() && character.is_whitespace()) => {
            Some(Damage::Control(character))
        }
        _ => None,
    })
}

fn quotation(text: &str) -> Option<Damage> {
    let is_mark = |character: &char| matches!(character, '"' | '\'' | '`' | '\u{201c}'..='\u{201e}' | '\u{2018}'..='\u{201a}');
    let first = text.chars().next().filter(is_mark);
    let last = text.chars().next_back().filter(is_mark);
    // A mark inside that has its partner is meant.
    let is_alone = |mark: char| text.chars().filter(|character| *character == mark).count() == 1;
    match (first, last) {
        (Some(_), Some(_)) if text.chars().nth(1).is_some() => Some(Damage::Quoted),
        (Some(mark), _) if is_alone(mark) => Some(Damage::HalfQuoted(End::Begins)),
        (_, Some(mark)) if is_alone(mark) => Some(Damage::HalfQuoted(End::Ends)),
        _ => None,
    }
}

/// The name of a variable that something should have put a value in place of: `${NAME}` anywhere, or all of it `$NAME`.
/// A value that is not public may be or hold a secret, which may contain anything; only one that is nothing else is a
/// reference.
fn reference(variable: &Variable, text: &str) -> Option<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.as_bytes()[0].is_ascii_digit()
    };
    let braced = |text: &str| -> Option<String> {
        let (inside, _) = text.split_once("${")?.1.split_once('}')?;
        // `${NAME:-default}` of shells and of compose files.
        let name = inside.split([':', '-', '?', '+']).next().unwrap_or_default();
        is_name(name).then(|| name.to_owned())
    };
    if !variable.public {
        let whole = text.strip_prefix('$')?;
        return match whole.strip_prefix('{') {
            Some(rest) if rest.ends_with('}') => braced(text),
            Some(_) => None,
            None => (is_name(whole) && whole.bytes().all(|byte| !byte.is_ascii_lowercase()))
                .then(|| whole.to_owned()),
        };
    }
    braced(text).or_else(|| {
        text.strip_prefix('$')
            .filter(|name| is_name(name))
            .map(ToOwned::to_owned)
    })
}

/// The characters that a value of its kind never contains.
fn shape(variable: &Variable, text: &str) -> Option<Damage> {
    let has_blank = text.contains(char::is_whitespace);
    match variable.kind {
        Kind::Secret if TOKENS.contains(&variable.name) => {
            let scheme = text
                .get(..7)
                .is_some_and(|start| start.eq_ignore_ascii_case("bearer "));
            // `<paste the token>` of a template does no harm until it is needed; then the IdP refuses it.
            let is_placeholder = text.starts_with('<') && text.ends_with('>');
            // Neither character occurs in a token.
            let is_answer = text.starts_with('{') && text.ends_with('}');
            match (scheme, has_blank) {
                _ if is_answer => Some(Damage::Answer),
                _ if is_mounted(text) => Some(Damage::Mounted),
                (true, _) => Some(Damage::Scheme),
                (_, true) if !is_placeholder => Some(Damage::Blank),
                _ => None,
            }
        }
        Kind::Secret if is_mounted(text) => Some(Damage::Mounted),
        Kind::Url | Kind::Origin if has_blank && variable.public => Some(Damage::Blank),
        Kind::Url if variable.name == "OIDC_ISSUER" => {
            let issuer = text.split_once(WELL_KNOWN)?.0;
            Some(Damage::WellKnown(issuer.to_owned()))
        }
        // A scope may hold a semicolon (RFC 6749 appendix A.4), but then `openid` stands by itself.
        Kind::List if text.contains(';') => {
            let entries = |separators: &[char]| {
                let separators = separators.to_vec();
                let mut entries = text.split(move |character: char| {
                    character.is_whitespace() || separators.contains(&character)
                });
                entries.any(|entry| entry == "openid")
            };
            (variable.name != "OIDC_SCOPES" || (!entries(&[',']) && entries(&[',', ';'])))
                .then_some(Damage::Semicolons)
        }
        Kind::Files if text.contains(';') => Some(Damage::Semicolons),
        _ => None,
    }
}

/// Whether the value is a path below the folder in which containers see their secrets.
fn is_mounted(text: &str) -> bool {
    text.starts_with("/run/secrets/")
}

// === impl Damage ===

impl Damage {
    fn complaint(self, variable: &Variable) -> Complaint {
        match self {
            Self::Quoted => Complaint::new(
                "is wrapped in quotation marks, which belong to the value here",
                "remove them: env files and lists in compose files take none away",
            ),
            Self::HalfQuoted(end) => Complaint::new(
                match end {
                    End::Begins => "begins with a quotation mark",
                    End::Ends => "ends with a quotation mark",
                },
                "remove it; the value may have been cut off at a blank or a line end",
            ),
            Self::ByteOrderMark => Complaint::new(
                "begins with a byte order mark (U+FEFF)",
                "save the file that it comes from as UTF-8 without a byte order mark",
            ),
            Self::Invisible(character) => Complaint::new(
                format!("contains the invisible character U+{:04X}", u32::from(character)),
                "type the value by hand: the character came with a copy from a page or a chat",
            ),
            Self::Control('\r') => Complaint::new(
                "contains a carriage return",
                "save the file that it comes from with Unix line ends (`dos2unix FILE`)",
            ),
            Self::Control('\n') => Complaint::new("contains a line break", "write it on one line"),
            Self::Control(character) => Complaint::new(
                format!("contains the control character U+{:04X}", u32::from(character)),
                "type the value by hand",
            ),
            Self::Blank => Complaint::new("contains a blank", "remove it"),
            Self::Semicolons => Complaint::new("separates entries with `;`", "separate them with commas"),
            Self::Reference(_) if !variable.public => Complaint::new(
                "is the name of another variable, and not its value",
                "write the value itself: nothing has expanded the reference",
            ),
            Self::Reference(name) => Complaint::new(
                format!("still contains the reference to {name}, which nothing has expanded"),
                format!(
                    "write the value itself, or set {name} where a compose file expands it; of our own files only \
                     settings.yaml and routes.yaml expand `${{NAME}}`"
                ),
            ),
            Self::Scheme => Complaint::new(
                "begins with `Bearer`, which is not part of the token",
                "leave the token alone in it",
            ),
            Self::Answer => Complaint::new(
                "is a JSON object, and not a token",
                "write the token alone, which is a member of that object",
            ),
            Self::Mounted => Complaint::new(
                "is the path of a file, and not the secret in it",
                format!("set {}_FILE to this path instead", variable.name),
            ),
            Self::WellKnown(issuer) => Complaint::new(
                "is the address of the metadata, and not the issuer",
                format!("write `{issuer}`, as the member `issuer` of the metadata says it"),
            ),
        }
    }
}

#[cfg(test)]
mod tests;
