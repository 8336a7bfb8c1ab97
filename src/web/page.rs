//! Pages for a person: one calm layout, no script, everything escaped.

use std::fmt::Write as _;

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS},
};

/// What a page shows.
pub(crate) struct Page<'a> {
    /// The heading.
    pub(crate) title: &'a str,
    /// One or two sentences: what happened and what to do.
    pub(crate) text: &'a str,
    /// What the person can do here.
    pub(crate) action: Option<Action<'a>>,
    /// Code and correlation id, for whoever is asked for help.
    pub(crate) footnote: Option<(&'a str, &'a str)>,
}

/// The one thing that a page offers.
pub(crate) enum Action<'a> {
    /// A link.
    Link {
        /// What it says.
        label: &'a str,
        /// Where it goes.
        href: &'a str,
    },
    /// A button that posts hidden fields to `path`.
    Post {
        /// What it says.
        label: &'a str,
        /// Where it goes.
        path: &'a str,
        /// Hidden fields.
        fields: &'a [(&'a str, &'a str)],
    },
    /// The page goes on by itself after it was shown; the link is for browsers that do not.
    Continue {
        /// Where it goes.
        href: &'a str,
    },
}

// The style is the only inline content, so the policy names its hash-free equivalent: inline styles, nothing else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
// Without `form-action`: browsers hold every redirect that answers a form to it (CSP3 section 6.4.2), and a logout leads to
// the IdP, and from there to whatever the IdP federates with.
const FORM_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("page/style.css");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// The page as an answer with status 200; the caller sets another.
pub(crate) fn respond(page: &Page<'_>) -> Response {
    let policy = match page.action {
        Some(Action::Post { .. }) => FORM_POLICY,
        None | Some(Action::Link { .. } | Action::Continue { .. }) => POLICY,
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (PERMISSIONS_POLICY, HeaderValue::from_static("interest-cohort=()")),
    ];
    (headers, html(page)).into_response()
}

fn html(page: &Page<'_>) -> String {
    let meta = match &page.action {
        Some(Action::Continue { href }) => {
            format!("<meta http-equiv=\"refresh\" content=\"0;url={}\">", escape(href))
        }
        // Under the `no-referrer` of the header a browser posts with `Origin: null` (Fetch, "append a request `Origin`
        // header"), which proves nothing. This wins over the header, and tells other origins nothing either.
        Some(Action::Post { .. }) => "<meta name=\"referrer\" content=\"same-origin\">".to_owned(),
        None | Some(Action::Link { .. }) => String::new(),
    };
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{meta}\
         <title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1><p>{text}</p>",
        title = escape(page.title),
        text = escape(page.text),
    );
    // Writing to a String cannot fail.
    let _ = match &page.action {
        None => Ok(()),
        Some(Action::Link { label, href }) => {
            write!(
                html,
                "<p><a class=\"action\" href=\"{}\">{}</a></p>",
                escape(href),
                escape(label)
            )
        }
        Some(Action::Continue { href }) => {
            write!(
                html,
                "<p><a class=\"action\" href=\"{}\">Continue</a></p>",
                escape(href)
            )
        }
        Some(Action::Post { label, path, fields }) => {
            let mut inputs = String::new();
            for (name, value) in *fields {
                let _ = write!(
                    inputs,
                    "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
                    escape(name),
                    escape(value)
                );
            }
            write!(
                html,
                "<form method=\"post\" action=\"{}\">{inputs}<button class=\"action\">{}</button></form>",
                escape(path),
                escape(label)
            )
        }
    };
    if let Some((code, correlation)) = page.footnote {
        let _ = write!(
            html,
            "<p class=\"footnote\">If you ask for help, quote <code>{}</code> and <code>{}</code>.</p>",
            escape(code),
            escape(correlation)
        );
    }
    html.push_str("</main></body></html>\n");
    html
}

/// Text for HTML content and double-quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_escaped() {
        let evil = "<script>alert(1)</script>\"'&";
        let page = html(&Page {
            title: evil,
            text: evil,
            action: Some(Action::Post {
                label: evil,
                path: evil,
                fields: &[(evil, evil)],
            }),
            footnote: Some((evil, evil)),
        });
        assert!(!page.contains("<script>"));
        assert!(!page.contains("\"'&\""));
    }

    #[test]
    fn a_page_that_goes_on_says_where() {
        let action = Some(Action::Continue {
            href: "https://a.example/?b=c&d=e",
        });
        let page = html(&Page {
            title: "Logged in",
            text: "",
            action,
            footnote: None,
        });
        assert!(page.contains("content=\"0;url=https://a.example/?b=c&amp;d=e\""));
    }
}
