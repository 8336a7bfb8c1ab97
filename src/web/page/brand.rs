//! Name, logo and colour of the application.

use std::fmt;

use url::Url;

/// How the pages show whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brand {
    /// `BRAND_NAME`: shown above the heading.
    pub name: Option<String>,
    /// `BRAND_LOGO_URI`: an absolute URL, or a path on the own origin.
    pub logo: Option<String>,
    /// `BRAND_COLOR`: of buttons.
    pub color: Option<Color>,
}

/// A colour in sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

// === impl Brand ===

impl Brand {
    /// The value of `img-src` in the policy: the origin of the logo.
    pub(super) fn logo_source(&self) -> Option<String> {
        let logo = self.logo.as_deref()?;
        Some(match Url::parse(logo) {
            Ok(url) => url.origin().ascii_serialization(),
            Err(_) => "'self'".to_owned(),
        })
    }
}

// === impl Color ===

impl Color {
    /// The colour of text on it: white or nearly black, whichever has more contrast (WCAG 2.2, "contrast ratio").
    pub(super) fn ink(self) -> &'static str {
        let luminance = self.luminance();
        let white = 1.05 / (luminance + 0.05);
        let black = (luminance + 0.05) / (Self([0x10, 0x14, 0x1b]).luminance() + 0.05);
        if white >= black { "#ffffff" } else { "#10141b" }
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_a_colour_can_be_read() {
        for (color, ink) in [
            ([0xff, 0xff, 0xff], "#10141b"),
            ([0xff, 0xd5, 0x00], "#10141b"),
            ([0x00, 0x00, 0x00], "#ffffff"),
            ([0x1f, 0x5f, 0xd6], "#ffffff"),
            ([0xb0, 0x00, 0x20], "#ffffff"),
        ] {
            assert_eq!(Color(color).ink(), ink, "{}", Color(color));
        }
    }

    #[test]
    fn only_the_logos_origin_may_be_asked_for_images() {
        let source = |logo: &str| {
            Brand {
                logo: Some(logo.to_owned()),
                ..Brand::default()
            }
            .logo_source()
            .unwrap()
        };
        assert_eq!(
            source("https://cdn.example/a/logo.svg?v=2"),
            "https://cdn.example"
        );
        assert_eq!(
            source("https://cdn.example:8443/logo.svg"),
            "https://cdn.example:8443"
        );
        assert_eq!(source("/static/logo.svg"), "'self'");
        assert_eq!(Brand::default().logo_source(), None);
    }
}
