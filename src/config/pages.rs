//! Pages for people: the brand, and the overriding files.

use std::path::PathBuf;

use url::Url;

use super::{address::reach, problem::Complaint, reader::Reader};

/// A longer name does not fit above a heading, in characters.
const MAX_NAME_LENGTH: usize = 64;

/// Pages for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSettings {
    /// The application's name.
    pub brand_name: Option<String>,
    /// Its logo: an absolute URL, or a path on the own origin.
    pub brand_logo: Option<String>,
    /// The colour of buttons, in sRGB.
    pub brand_color: Option<[u8; 3]>,
    /// The folder of templates and texts that override ours.
    pub templates: Option<PathBuf>,
}

pub(super) fn read(reader: &mut Reader) -> PageSettings {
    PageSettings {
        brand_name: reader.parsed("BRAND_NAME", name),
        brand_logo: logo(reader),
        brand_color: reader.parsed("BRAND_COLOR", color),
        templates: reader.path("BFF_TEMPLATES_DIR"),
    }
}

fn name(text: &str) -> Result<String, Complaint> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_NAME_LENGTH || text.chars().any(char::is_control) {
        return Err(Complaint::new(
            format!("is not a name of 1 to {MAX_NAME_LENGTH} characters on one line"),
            "write the name as people know it, for example `Example Shop`",
        ));
    }
    Ok(text.to_owned())
}

fn logo(reader: &mut Reader) -> Option<String> {
    let name = "BRAND_LOGO_URI";
    let logo = reader.parsed(name, logo_uri)?;
    if let Ok(url) = Url::parse(&logo)
        && let Err(complaint) = reader.check_reach(name, reach(&url))
    {
        reader.complain(name, complaint.message, complaint.fix);
        return None;
    }
    Some(logo)
}

fn logo_uri(text: &str) -> Result<String, Complaint> {
    let complaint = || {
        Complaint::new(
            "is neither an absolute https URL nor a path",
            "write `https://cdn.example/logo.svg`, or a path on the own host such as `/logo.svg`",
        )
    };
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_plain && text.starts_with('/') && !text.starts_with("//") {
        return Ok(text.to_owned());
    }
    match Url::parse(text) {
        Ok(url)
            if matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none() =>
        {
            Ok(url.to_string())
        }
        _ => Err(complaint()),
    }
}

/// `#rgb` or `#rrggbb`, as in CSS.
fn color(text: &str) -> Result<[u8; 3], Complaint> {
    let complaint = || {
        Complaint::new(
            "is not a colour in hexadecimal digits",
            "write `#rrggbb`, for example `#1f5fd6`",
        )
    };
    let digits = text.strip_prefix('#').ok_or_else(complaint)?;
    let digits: Vec<u8> = digits
        .chars()
        .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .ok_or_else(complaint)?;
    match digits[..] {
        [red, green, blue] => Ok([red * 17, green * 17, blue * 17]),
        [_, _, _, _, _, _] => {
            let mut channels = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]);
            Ok(std::array::from_fn(|_| channels.next().unwrap_or_default()))
        }
        _ => Err(complaint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_three_or_six_digits() {
        assert_eq!(color("#1F5fd6").unwrap(), [0x1f, 0x5f, 0xd6]);
        assert_eq!(color("#f80").unwrap(), [0xff, 0x88, 0x00]);
        for text in [
            "",
            "#",
            "red",
            "1f5fd6",
            "#12345",
            "#1f5fd6ff",
            "#12345g",
            "#é12345",
            "#000;}x{a:b",
        ] {
            assert!(color(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_logo_is_a_url_or_a_path() {
        assert_eq!(
            logo_uri("https://cdn.example/a.svg?b").unwrap(),
            "https://cdn.example/a.svg?b"
        );
        assert_eq!(logo_uri("/static/a.svg").unwrap(), "/static/a.svg");
        for text in [
            "",
            "logo.svg",
            "//cdn.example/a.svg",
            "/a b.svg",
            "/\\evil.example",
            "javascript:alert(1)",
            "data:image/svg+xml,x",
            "https://user:pw@cdn.example/a.svg",
            "ftp://cdn.example/a.svg",
        ] {
            assert!(logo_uri(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_short_and_on_one_line() {
        assert_eq!(name(" Ada & Söhne ").unwrap(), "Ada & Söhne");
        for text in ["", "  ", "a\nb", &"x".repeat(65)] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
