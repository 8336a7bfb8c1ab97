//! Pages for a person: one calm layout, no script, everything escaped.
//!
//! A handler names a page by its key, and [`Pages`] finds the texts in the language of the person
//! (`page/messages/*.yaml`) and renders them with the template (`page/page.html`). Operators can override both with a
//! folder of their own ([`templates`]).

mod brand;
mod language;
mod messages;
mod templates;

use std::path::PathBuf;

use axum::response::{IntoResponse as _, Response};
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_TYPE, VARY},
};
use serde::Serialize;

pub use self::{
    brand::{Brand, Color},
    templates::PagesError,
};
use self::{messages::Languages, templates::Templates};
use crate::protection::Protection;

/// The operator's settings for the pages.
#[derive(Clone, Debug, Default)]
pub struct PageOptions {
    /// Name, logo and colour of the application.
    pub brand: Brand,
    /// The folder of templates and message files that override ours.
    pub templates: Option<PathBuf>,
}

/// All pages, ready to be shown.
#[derive(Debug)]
pub struct Pages {
    templates: Templates,
    languages: Languages,
    brand: BrandContext,
    policies: Policies,
}

/// The content of a page.
#[derive(Clone, Debug)]
pub(crate) struct Page<'a> {
    /// Which page: the key of its title and text in the message files.
    pub(crate) key: &'a str,
    /// Title and text if no message file has the key: English.
    pub(crate) fallback: (&'a str, &'a str),
    /// The value of `{answer}` in the text: the error code of the identity provider.
    pub(crate) answer: Option<&'a str>,
    /// The actions of the person on this page.
    pub(crate) action: Option<Action<'a>>,
    /// A second, quieter way: to the start page.
    pub(crate) start: Option<(Label, &'a str)>,
    /// Code and correlation id, for people who help.
    pub(crate) footnote: Option<(&'a str, &'a str)>,
}

/// The one thing that a page offers first.
#[derive(Clone, Debug)]
pub(crate) enum Action<'a> {
    /// A link.
    Link {
        /// Its label.
        label: Label,
        /// Its target.
        href: &'a str,
    },
    /// A button that posts hidden fields to `path`.
    Post {
        /// Its label.
        label: Label,
        /// Its target.
        path: &'a str,
        /// Hidden fields.
        fields: &'a [(&'a str, &'a str)],
    },
    /// The page navigates by itself after it was shown; the link is for browsers that do not.
    Continue {
        /// Its target.
        href: &'a str,
    },
}

/// The labels of links and buttons; the texts are in the message files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    /// "Continue"
    Continue,
    /// "Go to the start page"
    GoToStartPage,
    /// "Log in"
    LogIn,
    /// "Log in again"
    LogInAgain,
    /// "Log out"
    LogOut,
    /// "Stay logged in"
    StayLoggedIn,
    /// "Try again"
    TryAgain,
}

/// The placeholders of a template (documented in `docs/pages.md`).
#[derive(Serialize)]
struct Context<'a> {
    language: &'a str,
    page: &'a str,
    title: &'a str,
    text: String,
    brand: &'a BrandContext,
    action: Option<ActionContext<'a>>,
    start: Option<LinkContext<'a>>,
    help: Option<HelpContext<'a>>,
}

#[derive(Debug, Serialize)]
struct BrandContext {
    name: Option<String>,
    logo: Option<String>,
    color: Option<String>,
    on_color: Option<&'static str>,
}

#[derive(Serialize)]
struct ActionContext<'a> {
    kind: &'static str,
    label: &'a str,
    href: &'a str,
    fields: Vec<FieldContext<'a>>,
}

#[derive(Serialize)]
struct FieldContext<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct LinkContext<'a> {
    label: &'a str,
    href: &'a str,
}

#[derive(Serialize)]
struct HelpContext<'a> {
    text: &'a str,
    code: &'a str,
    correlation_id: &'a str,
}

/// The protection of pages without and with a form.
#[derive(Debug)]
struct Policies {
    page: Protection,
    form: Protection,
}

/// A reference to a field that `docs/pages.md` promises: the pages with which the start tests a template.
const SAMPLE_TARGET: &str = "/sample-target";

// === impl Pages ===

impl Pages {
    /// Reads the templates and message files, ours and the operator's, and tries each page in each language once, so
    /// that no mistake in them is met by a person.
    ///
    /// # Errors
    ///
    /// [`PagesError`] with file and line of the first mistake.
    pub fn new(options: &PageOptions) -> Result<Self, PagesError> {
        let folder = options.templates.as_deref();
        let (templates, languages) = templates::read(folder)?;
        let brand = &options.brand;
        let pages = Self {
            templates,
            languages,
            policies: Policies::new(brand.logo_source().as_deref()),
            brand: BrandContext {
                name: brand.name.clone(),
                logo: brand.logo.clone(),
                color: brand.color.map(|color| color.to_string()),
                on_color: brand.color.map(Color::ink),
            },
        };
        pages.try_all()?;
        Ok(pages)
    }

    /// The page as an answer with status 200, in the language that `headers` ask for; the caller sets another status.
    pub(crate) fn respond(&self, headers: &HeaderMap, page: &Page<'_>) -> Response {
        self.respond_in(headers.get(ACCEPT_LANGUAGE), page)
    }

    /// The same, given the value of `Accept-Language`.
    pub(crate) fn respond_in(&self, accept_language: Option<&HeaderValue>, page: &Page<'_>) -> Response {
        let texts = self.languages.choose(accept_language);
        // Browsers apply `form-action` to every redirect that answers a form (CSP3 section 6.4.2). A logout leads to
        // the IdP, and from there to the providers that the IdP federates with.
        let protection = match page.action {
            Some(Action::Post { .. }) => &self.policies.form,
            None | Some(Action::Link { .. } | Action::Continue { .. }) => &self.policies.page,
        };
        let (content_type, body) = match self.html(texts, page) {
            Ok(html) => ("text/html; charset=utf-8", html),
            Err(error) => {
                tracing::error!(%error, "a page could not be rendered");
                let (title, text) = page.fallback;
                ("text/plain; charset=utf-8", format!("{title}\n\n{text}\n"))
            }
        };
        let mut response = body.into_response();
        let answer = response.headers_mut();
        protection.apply(answer, false);
        answer.insert(VARY, HeaderValue::from_static("accept, accept-language"));
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(language) = HeaderValue::try_from(texts.language()) {
            answer.insert(CONTENT_LANGUAGE, language);
        }
        response
    }

    fn html(&self, texts: &messages::Texts, page: &Page<'_>) -> Result<String, PagesError> {
        let (title, text) = texts.page(page.key).unwrap_or(page.fallback);
        let action = page.action.as_ref().map(|action| match action {
            Action::Link { label, href } => ActionContext::new("link", texts.label(*label), href),
            Action::Continue { href } => ActionContext::new("continue", texts.label(Label::Continue), href),
            Action::Post { label, path, fields } => ActionContext {
                fields: fields
                    .iter()
                    .map(|&(name, value)| FieldContext { name, value })
                    .collect(),
                ..ActionContext::new("post", texts.label(*label), path)
            },
        });
        self.templates.render(&Context {
            language: texts.language(),
            page: page.key,
            title,
            text: match page.answer {
                Some(answer) => text.replace("{answer}", answer),
                None => text.to_owned(),
            },
            brand: &self.brand,
            action,
            start: page.start.map(|(label, href)| LinkContext {
                label: texts.label(label),
                href,
            }),
            help: page.footnote.map(|(code, correlation_id)| HelpContext {
                text: texts.help(),
                code,
                correlation_id,
            }),
        })
    }

    /// Renders each page that a template has to cope with, in each language.
    fn try_all(&self) -> Result<(), PagesError> {
        let fields = [("csrf_token", "sample-token")];
        let actions = [
            None,
            Some(Action::Link {
                label: Label::TryAgain,
                href: SAMPLE_TARGET,
            }),
            Some(Action::Post {
                label: Label::LogOut,
                path: SAMPLE_TARGET,
                fields: &fields,
            }),
            Some(Action::Continue { href: SAMPLE_TARGET }),
        ];
        for texts in self.languages.iter() {
            for key in texts.pages() {
                for action in &actions {
                    let with_help = matches!(action, Some(Action::Link { .. }));
                    let page = Page {
                        key,
                        fallback: ("Sample", "A sample."),
                        answer: Some("sample"),
                        action: action.clone(),
                        start: with_help.then_some((Label::GoToStartPage, "/")),
                        footnote: with_help.then_some(("sample_code", "sample-id")),
                    };
                    let html = self.html(texts, &page)?;
                    self.templates
                        .check_sample(&html, action.as_ref(), SAMPLE_TARGET)?;
                }
            }
        }
        Ok(())
    }
}

// === impl ActionContext ===

impl<'a> ActionContext<'a> {
    const fn new(kind: &'static str, label: &'a str, href: &'a str) -> Self {
        Self {
            kind,
            label,
            href,
            fields: Vec::new(),
        }
    }
}

// === impl Policies ===

impl Policies {
    /// Inline styles, the logo, and nothing else.
    fn new(logo_source: Option<&str>) -> Self {
        let images = logo_source.map_or_else(String::new, |source| format!("img-src {source}; "));
        let policy = |form: &str| {
            let text = format!(
                "default-src 'none'; style-src 'unsafe-inline'; {images}{form}base-uri 'none'; frame-ancestors 'none'"
            );
            // An origin is printable ASCII; without a logo the policy is a constant.
            let policy = HeaderValue::try_from(text);
            Protection::of_page(policy.unwrap_or(HeaderValue::from_static("default-src 'none'")))
        };
        Self {
            page: policy("form-action 'self'; "),
            form: policy(""),
        }
    }
}

// === impl Label ===

impl Label {
    /// Its key in the message files.
    const fn key(self) -> &'static str {
        match self {
            Self::Continue => "action.continue",
            Self::GoToStartPage => "action.go_to_start_page",
            Self::LogIn => "action.log_in",
            Self::LogInAgain => "action.log_in_again",
            Self::LogOut => "action.log_out",
            Self::StayLoggedIn => "action.stay_logged_in",
            Self::TryAgain => "action.try_again",
        }
    }
}

/// Text for HTML content and quoted attributes.
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
mod tests;
