//! Header fields that protect the pages of a folder (`security_headers`).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_FRAME_OPTIONS},
};

use super::{Route, pattern::Segment};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Scripts of this origin alone, and none within a page. Styles may stand within it: frameworks put them there, and a nonce
/// would have to change with every answer. `form-action` is left out, since browsers apply it to every redirect that
/// answers a form (CSP3 section 6.4.2), and a logout leads to the IdP.
pub(super) const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'self'; object-src 'none'";
/// Who may show a page in a frame.
pub(super) const FRAME_ANCESTORS: &str = "'none'";
pub(super) const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                                      magnetometer=(), microphone=(), midi=(), payment=(), usb=()";
/// An API gets no paths of pages that are not its own.
pub(super) const REFERRER: &str = "strict-origin-when-cross-origin";
/// A year.
pub(super) const TRANSPORT: &str = "max-age=31536000";

/// The fields, each with its value; those without one are not sent, and usually none is.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Security {
    pub(super) policy: Option<HeaderValue>,
    /// Old browsers know it in place of `frame-ancestors`.
    pub(super) frame_options: Option<HeaderValue>,
    pub(super) permissions: Option<HeaderValue>,
    pub(super) referrer: Option<HeaderValue>,
    /// Only over TLS (RFC 6797 section 7.2).
    pub(super) transport: Option<HeaderValue>,
}

// === impl Security ===

impl Security {
    /// Adds the fields to an answer.
    pub(in crate::gateway) fn apply(&self, headers: &mut HeaderMap, is_https: bool) {
        let transport = self.transport.as_ref().filter(|_| is_https);
        for (name, value) in [
            (CONTENT_SECURITY_POLICY, self.policy.as_ref()),
            (X_FRAME_OPTIONS, self.frame_options.as_ref()),
            (PERMISSIONS_POLICY, self.permissions.as_ref()),
            (REFERRER_POLICY, self.referrer.as_ref()),
            (STRICT_TRANSPORT_SECURITY, transport),
        ] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

// === impl Route ===

impl Route {
    /// The `Cache-Control` of its successful answers, if the file names one.
    pub(in crate::gateway) const fn cache_control(&self) -> Option<&HeaderValue> {
        self.cache_control.as_ref()
    }

    /// The fields that protect its pages.
    pub(in crate::gateway) const fn security(&self) -> &Security {
        &self.security
    }

    /// Whether it matches paths below its own, with or without a slash at their end.
    pub(in crate::gateway) const fn is_below(&self) -> bool {
        self.pattern.below
    }

    /// Whether it names `/.well-known`, whose files are not hidden (RFC 8615).
    pub(in crate::gateway) fn is_well_known(&self) -> bool {
        matches!(self.pattern.segments.first(), Some(Segment::Literal(first)) if first == ".well-known")
    }
}
