//! A person with a browser, who goes through the provider's pages.

use http::{Method, StatusCode, header::CONTENT_TYPE};
use url::{Url, form_urlencoded};

use super::{Browser, Provider, Reply, Stack};

/// More pages than a login or a logout has.
const MAX_STEPS: usize = 16;

/// A person with a browser on a page of the server.
pub struct Person {
    name: &'static str,
    /// Their browser, on one of our hosts.
    pub browser: Browser,
    /// The same browser, on a page of the provider.
    idp: Browser,
}

// === impl Person ===

impl Person {
    /// A person whom the provider knows, with a fresh browser, on one of our hosts.
    pub fn new(name: &'static str, provider: &Provider, origin: &str) -> Self {
        let browser = Browser::new(name, origin);
        Self {
            name,
            idp: browser.at(&provider.issuer),
            browser,
        }
    }

    /// The same person in the same browser on another of our hosts.
    pub fn at(&self, origin: &str) -> Self {
        Self {
            name: self.name,
            browser: self.browser.at(origin),
            idp: self.idp.clone(),
        }
    }

    /// Another person in front of the same browser.
    pub fn makes_room_for(&self, name: &'static str) -> Self {
        Self {
            name,
            ..self.at(self.browser.origin())
        }
    }

    /// Logs in and expects it to work.
    pub async fn log_in(&self) {
        let reply = self.log_in_by("/auth/login").await;
        reply.leads_on();
        let session = self.browser.session().await;
        assert_eq!(session["authenticated"], true, "{session}");
        assert_eq!(session["user"]["sub"], self.name, "{session}");
    }

    /// Logs in; the answer of the callback.
    pub async fn log_in_by(&self, login: &str) -> Reply {
        let started = self.browser.get(login).await;
        assert_eq!(started.status, StatusCode::FOUND, "{}", started.body);
        let callback = self.authorize(started.location()).await;
        self.browser.get(&callback).await
    }

    /// Goes from the URL of an authorization request through login and consent to the URL that the provider sends the
    /// browser back to.
    pub async fn authorize(&self, url: &str) -> String {
        let mut reply = self.idp.get(url).await;
        for _ in 0..MAX_STEPS {
            if reply.status.is_redirection() {
                let next = self.next(&reply);
                if !next.starts_with(self.idp.origin()) {
                    return next;
                }
                reply = self.idp.get(&next).await;
            } else {
                let prompt = attribute(&reply.body, "name=\"prompt\" value=\"");
                let login = [("prompt", "login"), ("login", self.name), ("password", "any")];
                let consent = [("prompt", "consent")];
                // Another person was logged in there: a page that a script submits at once.
                let xsrf = attribute(&reply.body, "name=\"xsrf\" value=\"");
                reply = match (prompt, xsrf) {
                    (Some("login"), _) => self.submit(&reply, &login).await,
                    (Some("consent"), _) => self.submit(&reply, &consent).await,
                    (None, Some(xsrf)) => self.submit(&reply, &[("xsrf", xsrf), ("logout", "yes")]).await,
                    _ => panic!("neither login nor consent: {} {}", reply.status, reply.body),
                };
            }
        }
        panic!("the login does not end");
    }

    /// Opens an authorization request and says no; the URL that the provider sends the browser back to.
    pub async fn refuse(&self, url: &str) -> String {
        let asked = self.idp.get(url).await;
        let page = self.idp.get(&self.next(&asked)).await;
        // A link of the library's page.
        let abort = attribute(&page.body, "<a href=\"").expect("no way to say no");
        let resume = self.idp.get(abort).await;
        let answered = self.idp.get(&self.next(&resume)).await;
        self.next(&answered)
    }

    /// Logs out here, and confirms or declines at the provider; returns the final page.
    pub async fn log_out(&self, everywhere: bool) -> Reply {
        let reply = self.browser.post("/auth/logout").await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        let page = self.idp.get(reply.location()).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let xsrf = attribute(&page.body, "name=\"xsrf\" value=\"").expect("no confirmation page");
        let form = [("xsrf", xsrf), ("logout", "yes")];
        let form = if everywhere { &form[..] } else { &form[..1] };
        let confirmed = self.submit(&page, form).await;
        self.browser.get(&self.next(&confirmed)).await
    }

    async fn submit(&self, page: &Reply, form: &[(&str, &str)]) -> Reply {
        let action = attribute(&page.body, "action=\"").expect("no form");
        let request = self.idp.request(Method::POST, action);
        self.idp.send(with_form(request, form)).await
    }

    /// The target to which an answer of the provider sends the browser.
    fn next(&self, reply: &Reply) -> String {
        assert!(reply.status.is_redirection(), "{} {}", reply.status, reply.body);
        let base = Url::parse(self.idp.origin()).unwrap();
        base.join(reply.location()).unwrap().into()
    }
}

// === impl Stack ===

impl Stack {
    /// Ada with a fresh browser on the first host.
    pub fn ada(&self) -> Person {
        Person::new("ada", &self.provider, &self.origin(0))
    }
}

/// `request` with a form as its body.
pub fn with_form(request: reqwest::RequestBuilder, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body)
}

/// The text between `start` and the next quotation mark.
fn attribute<'t>(html: &'t str, start: &str) -> Option<&'t str> {
    let (_, rest) = html.split_once(start)?;
    Some(rest.split_once('"')?.0)
}
