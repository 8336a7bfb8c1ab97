//! A person with a browser, for tests: goes through the pages of the IdP over real HTTP.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use reqwest::{
    Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header, redirect,
};
use url::{Url, form_urlencoded};

/// More pages than a login has.
const MAX_STEPS: usize = 8;

/// A person who logs in and consents. Keeps the cookies of the IdP, so a second login needs no password.
pub struct Person {
    username: String,
    password: String,
    consents: bool,
    http: reqwest::Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// The login did not complete.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    /// No answer.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// A page that is neither login nor consent, or the login page again.
    #[error("the IdP shows a page ({status}): {text}")]
    Page {
        /// Status of the page.
        status: u16,
        /// The HTML.
        text: String,
    },
    /// A redirect to nowhere.
    #[error("the IdP redirects without a usable location")]
    Location,
    /// The pages do not end.
    #[error("the login does not end")]
    Endless,
}

/// Names below `localhost` are this machine (RFC 6761, section 6.3), which browsers know and many systems do not.
struct LikeBrowsers;

// === impl LikeBrowsers ===

impl Resolve for LikeBrowsers {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let name = name.as_str();
            let addresses: Addrs = if name.ends_with(".localhost") {
                Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0))))
            } else {
                Box::new(
                    tokio::net::lookup_host((name.to_owned(), 0))
                        .await?
                        .collect::<Vec<_>>()
                        .into_iter(),
                )
            };
            Ok(addresses)
        })
    }
}

// === impl Person ===

impl Person {
    /// A person with a fresh browser who consents to everything.
    ///
    /// # Errors
    ///
    /// If no HTTP client can be built.
    pub fn new(username: &str, password: &str) -> Result<Self, PersonError> {
        crate::install_crypto();
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(LikeBrowsers))
            // Plain http on this machine; reading the system's authorities takes longer than a login.
            .tls_certs_only([])
            .build()?;
        Ok(Self {
            username: username.to_owned(),
            password: password.to_owned(),
            consents: true,
            http,
            cookies: Mutex::default(),
        })
    }

    /// The same person, who refuses consent.
    #[must_use]
    pub fn denying(mut self) -> Self {
        self.consents = false;
        self
    }

    /// The cookies of the IdP are gone, as in a new browser.
    pub fn forget_cookies(&self) {
        self.cookies.lock().clear();
    }

    /// Opens an authorization URL and goes through login and consent; the URL that the IdP sends the browser to, with
    /// `code` or `error`.
    ///
    /// # Errors
    ///
    /// If the IdP shows a page instead, for example because the password is wrong.
    pub async fn authorize(&self, url: &str) -> Result<String, PersonError> {
        let mut base = Url::parse(url).map_err(|_| PersonError::Location)?;
        let mut response = self.open(&base).await?;
        let mut has_logged_in = false;
        for _ in 0..MAX_STEPS {
            let status = response.status();
            if status.is_redirection() {
                let location = response
                    .headers()
                    .get(header::LOCATION)
                    .and_then(|value| value.to_str().ok());
                let location = location.ok_or(PersonError::Location)?;
                let next = base.join(location).map_err(|_| PersonError::Location)?;
                if next.origin() != base.origin() {
                    return Ok(location.to_owned());
                }
                base = next;
                response = self.open(&base).await?;
                continue;
            }
            let text = response.text().await?;
            let stuck = |text: String| PersonError::Page {
                status: status.as_u16(),
                text,
            };
            let (Some(action), Some(interaction)) = (
                between(&text, "action=\"", "\""),
                between(&text, "name=\"interaction\" value=\"", "\""),
            ) else {
                return Err(stuck(text));
            };
            let target = base.join(action).map_err(|_| PersonError::Location)?;
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("interaction", interaction);
            if action.ends_with("/consent") {
                form.append_pair("decision", if self.consents { "allow" } else { "deny" });
            } else if has_logged_in || status != StatusCode::OK {
                return Err(stuck(text));
            } else {
                has_logged_in = true;
                form.append_pair("username", &self.username)
                    .append_pair("password", &self.password);
            }
            response = self.submit(&target, form.finish()).await?;
        }
        Err(PersonError::Endless)
    }

    /// Opens any page of the IdP with the person's cookies, for example the logout; redirects are not followed.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn visit(&self, url: &str) -> Result<Response, PersonError> {
        self.open(&Url::parse(url).map_err(|_| PersonError::Location)?)
            .await
    }

    async fn open(&self, url: &Url) -> Result<Response, PersonError> {
        let request = self
            .http
            .get(url.clone())
            .header(header::COOKIE, self.cookie_header());
        Ok(self.keep_cookies(request.send().await?))
    }

    async fn submit(&self, url: &Url, form: String) -> Result<Response, PersonError> {
        let request = self
            .http
            .post(url.clone())
            .header(header::COOKIE, self.cookie_header())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        Ok(self.keep_cookies(request.send().await?))
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.lock();
        let pairs: Vec<String> = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    fn keep_cookies(&self, response: Response) -> Response {
        let lines = response.headers().get_all(header::SET_COOKIE).iter();
        for line in lines.filter_map(|line| line.to_str().ok()) {
            let pair = line.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                let mut cookies = self.cookies.lock();
                if value.is_empty() {
                    cookies.remove(name);
                } else {
                    cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        response
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(found, _)| found)
}
