//! Header fields that protect the pages of a folder (`security_headers`).

use http::HeaderValue;

use super::{Route, pattern::Segment};
use crate::protection::Protection;

/// Scripts of this origin alone, and none within a page. Styles may stand within it: frameworks put them there, and a nonce
/// would have to change with every answer. `form-action` is left out, since browsers apply it to every redirect that
/// answers a form (CSP3 section 6.4.2), and a logout leads to the IdP.
pub(super) const POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'self'; object-src 'none'";
/// Who may show a page in a frame.
pub(super) const FRAME_ANCESTORS: &str = "'none'";
/// An API gets no paths of pages that are not its own.
pub(super) const REFERRER: &str = "strict-origin-when-cross-origin";

// === impl Route ===

impl Route {
    /// The `Cache-Control` of its successful answers, if the file names one.
    pub(in crate::gateway) const fn cache_control(&self) -> Option<&HeaderValue> {
        self.cache_control.as_ref()
    }

    /// The fields that protect its pages.
    pub(in crate::gateway) const fn security(&self) -> &Protection {
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
