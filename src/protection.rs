//! Header fields that tell a browser how to treat an answer: for our pages, for problem documents, and for files of a
//! route. The one place that writes them.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Features that no page uses unless its route says so.
pub const PERMISSIONS: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                               magnetometer=(), microphone=(), midi=(), payment=(), usb=()";

/// The browser calls this host over https only, for a year (RFC 6797 section 6.1.1). Not its subdomains, which may be those
/// of others.
pub const A_YEAR: &str = "max-age=31536000";

/// For answers that are no page: nothing in them runs, and no frame shows them.
const DATA: &str = "default-src 'none'; frame-ancestors 'none'";

/// The fields, each with its value; those without one are not sent. `X-Content-Type-Options` stands in every answer.
#[derive(Clone, Debug, Default)]
pub struct Protection {
    /// `Content-Security-Policy`.
    pub policy: Option<HeaderValue>,
    /// `X-Frame-Options`: old browsers know it in place of `frame-ancestors`.
    pub frame_options: Option<HeaderValue>,
    /// `Permissions-Policy`.
    pub permissions: Option<HeaderValue>,
    /// `Referrer-Policy`.
    pub referrer: Option<HeaderValue>,
    /// `Strict-Transport-Security`, only over TLS (RFC 6797 section 7.2).
    pub transport: Option<HeaderValue>,
}

// === impl Protection ===

impl Protection {
    /// For a page of ours with this policy, in no frame.
    #[must_use]
    pub const fn of_page(policy: HeaderValue) -> Self {
        Self {
            policy: Some(policy),
            frame_options: Some(HeaderValue::from_static("DENY")),
            permissions: Some(HeaderValue::from_static(PERMISSIONS)),
            referrer: Some(HeaderValue::from_static("no-referrer")),
            transport: None,
        }
    }

    /// For an answer that a program reads.
    #[must_use]
    pub fn of_data() -> Self {
        Self {
            policy: Some(HeaderValue::from_static(DATA)),
            ..Self::default()
        }
    }

    /// For an answer below `/auth`: its address may contain a code and a state.
    #[must_use]
    pub fn of_auth(is_https: bool) -> Self {
        Self {
            referrer: Some(HeaderValue::from_static("no-referrer")),
            transport: is_https.then(|| HeaderValue::from_static(A_YEAR)),
            ..Self::default()
        }
    }

    /// Adds the fields to an answer. Those that have no value here stay.
    pub fn apply(&self, headers: &mut HeaderMap, is_https: bool) {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(protection: &Protection, is_https: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("origin"));
        protection.apply(&mut headers, is_https);
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn a_page_has_all_fields_and_other_answers_have_some() {
        let page = Protection::of_page(HeaderValue::from_static("default-src 'none'"));
        assert_eq!(
            names(&page, true),
            [
                "content-security-policy",
                "permissions-policy",
                "referrer-policy",
                "x-content-type-options",
                "x-frame-options"
            ]
        );
        let data = [
            "content-security-policy",
            "referrer-policy",
            "x-content-type-options",
        ];
        assert_eq!(names(&Protection::of_data(), true), data);
        assert_eq!(names(&Protection::default(), true), data[1..]);
    }

    #[test]
    fn plain_http_gets_no_order_to_stay_with_https() {
        let auth = Protection::of_auth(true);
        assert_eq!(names(&auth, false), ["referrer-policy", "x-content-type-options"]);
        assert_eq!(names(&auth, true).len(), 3);
        assert_eq!(names(&Protection::of_auth(false), true).len(), 2);
    }
}
