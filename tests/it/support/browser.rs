//! A browser, as far as the server can see: cookies per host, redirects followed only on demand.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use devstack_idp::Person;
use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use serde_json::Value;
use url::Url;

/// A person's browser. Clones share the cookies, like tabs.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    person: Arc<Person>,
    cookies: Arc<Mutex<BTreeMap<String, Jar>>>,
    origin: String,
}

/// The cookies for one host, names and values; the oldest first, as browsers send them.
type Jar = Vec<(String, String)>;

/// An answer, completely read.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its header.
    pub headers: HeaderMap,
    /// Its body as text.
    pub body: String,
}

/// All names lead to this machine.
struct Loopback;

impl reqwest::dns::Resolve for Loopback {
    fn resolve(&self, _name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        Box::pin(async {
            let addresses: reqwest::dns::Addrs =
                Box::new(std::iter::once(SocketAddr::from(([127, 0, 0, 1], 0))));
            Ok(addresses)
        })
    }
}

/// An HTTP client that resolves every name to this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are on the other side of the wire"
)]
pub fn http_client() -> reqwest::Client {
    bff::jose::install_crypto();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        // Everything is plain http here, and reading the system's authorities takes longer than a login.
        .tls_certs_only([])
        .dns_resolver(Arc::new(Loopback))
        .build()
        .unwrap()
}

// === impl Browser ===

impl Browser {
    /// A fresh browser of the person `username` (whose password is the same), on a page of `origin`.
    pub fn new(username: &str, origin: &str) -> Self {
        Self::of(Person::new(username, username).unwrap(), origin)
    }

    /// A fresh browser of `person`, on a page of `origin`.
    pub fn of(person: Person, origin: &str) -> Self {
        Self {
            http: http_client(),
            person: Arc::new(person),
            cookies: Arc::default(),
            origin: origin.to_owned(),
        }
    }

    /// The same browser on a page of another origin.
    pub fn at(&self, origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            ..self.clone()
        }
    }

    /// The origin of the page that is open.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Who sits in front of it.
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// The absolute URL of a path on the page's origin; a URL stays unchanged.
    fn url(&self, target: &str) -> String {
        if target.starts_with('/') {
            format!("{}{target}", self.origin)
        } else {
            target.to_owned()
        }
    }

    /// A request with this browser's cookies, as a script of the open page would make it.
    pub fn request(&self, method: Method, target: &str) -> reqwest::RequestBuilder {
        let url = self.url(target);
        let changes_state = method != Method::GET && method != Method::HEAD;
        let mut request = self.http.request(method, &url);
        if let Some(cookies) = self.cookie_header(&url) {
            request = request.header(header::COOKIE, cookies);
        }
        if changes_state {
            request = request.header(header::ORIGIN, &self.origin);
        }
        request
    }

    /// Sends a request and keeps the cookies of the answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        self.execute(request.build().unwrap()).await
    }

    /// Sends a request unchanged and keeps the cookies of the answer.
    pub async fn execute(&self, request: reqwest::Request) -> Reply {
        let url = request.url().clone();
        let reply = Reply::read(self.http.execute(request).await.unwrap()).await;
        self.keep(&url, &reply.headers);
        reply
    }

    /// Opens a page.
    pub async fn get(&self, target: &str) -> Reply {
        self.send(self.request(Method::GET, target)).await
    }

    /// Opens a page by a link on a page of another site: the browser does not send the session cookie, which is
    /// `SameSite=Strict`.
    pub async fn come_from_elsewhere(&self, target: &str) -> Reply {
        let url = self.url(target);
        let request = self.http.get(&url).headers(navigation("cross-site"));
        let sent = self.cookie_header(&url).unwrap_or_default();
        let kept: Vec<_> = sent
            .split("; ")
            .filter(|cookie| !cookie.contains("bff_session="))
            .collect();
        self.send(request.header(header::COOKIE, kept.join("; "))).await
    }

    /// Opens a page by a link, or by an intermediate page, of the same origin.
    pub async fn go_on_to(&self, target: &str) -> Reply {
        let request = self.request(Method::GET, target);
        self.send(request.headers(navigation("same-origin"))).await
    }

    /// Asks as a program that takes JSON.
    pub async fn get_json(&self, target: &str) -> Reply {
        let request = self.request(Method::GET, target);
        self.send(request.header(header::ACCEPT, "application/json"))
            .await
    }

    /// Posts as a script with both CSRF proofs.
    pub async fn post(&self, target: &str) -> Reply {
        let request = self
            .request(Method::POST, target)
            .header("x-csrf-token", self.csrf_token().await);
        self.send(request).await
    }

    /// The CSRF token of the session.
    pub async fn csrf_token(&self) -> String {
        self.session().await["csrf_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The answer of `/auth/session`.
    pub async fn session(&self) -> Value {
        self.get("/auth/session?touch=false").await.json()
    }

    /// Whether a person is logged in.
    pub async fn is_logged_in(&self) -> bool {
        self.session().await["authenticated"] == true
    }

    /// Begins a login and goes through the pages of the IdP, up to the URL to which the IdP sends the browser.
    pub async fn authorize(&self, login: &str) -> String {
        let started = self.get(login).await;
        assert_eq!(started.status, StatusCode::FOUND, "{}", started.body);
        self.person.authorize(started.location()).await.unwrap()
    }

    /// Logs in completely; the answer of the callback.
    pub async fn log_in_by(&self, login: &str) -> Reply {
        let callback = self.authorize(login).await;
        self.get(&callback).await
    }

    /// Logs in and expects it to work.
    pub async fn log_in(&self) {
        let reply = self.log_in_by("/auth/login").await;
        reply.leads_on();
        assert!(self.is_logged_in().await);
    }

    /// The cookies for a host, by name.
    pub fn cookies(&self, origin: &str) -> BTreeMap<String, String> {
        let host = host_of(&Url::parse(origin).unwrap());
        let all = self.cookies.lock();
        all.get(&host).into_iter().flatten().cloned().collect()
    }

    /// The value of the session cookie.
    pub fn session_cookie(&self) -> Option<String> {
        self.cookies(&self.origin).get("__Host-Http-bff_session").cloned()
    }

    /// The names of the login cookies for the open page's host.
    pub fn login_cookies(&self) -> Vec<String> {
        let names = self.cookies(&self.origin).into_keys();
        names.filter(|name| name.contains("bff_login_")).collect()
    }

    /// Sets a cookie by hand.
    pub fn set_cookie(&self, name: &str, value: &str) {
        let host = host_of(&Url::parse(&self.origin).unwrap());
        store(self.cookies.lock().entry(host).or_default(), name, value);
    }

    /// Removes all cookies, as in a fresh browser.
    pub fn forget_cookies(&self) {
        self.cookies.lock().clear();
    }

    fn cookie_header(&self, url: &str) -> Option<String> {
        let cookies = self.cookies.lock();
        let cookies = cookies.get(&host_of(&Url::parse(url).ok()?))?;
        if cookies.is_empty() {
            return None;
        }
        Some(
            cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join("; "),
        )
    }

    fn keep(&self, url: &Url, headers: &HeaderMap) {
        let mut all = self.cookies.lock();
        let cookies = all.entry(host_of(url)).or_default();
        for set in headers.get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let mut parts = set.split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            if parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
                cookies.retain(|(known, _)| known != name);
            } else {
                store(cookies, name, value);
            }
        }
    }
}

/// The header fields of browsers when a person opens a page, from a page of `site`.
fn navigation(site: &str) -> HeaderMap {
    [
        ("sec-fetch-site", site),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("accept", "text/html,*/*;q=0.8"),
    ]
    .into_iter()
    .map(|(name, value)| {
        (
            header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            value.parse().unwrap(),
        )
    })
    .collect()
}

/// A cookie that is there already keeps its age (RFC 6265 section 5.3, step 11).
fn store(cookies: &mut Jar, name: &str, value: &str) {
    match cookies.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => value.clone_into(old),
        None => cookies.push((name.to_owned(), value.to_owned())),
    }
}

/// Cookies do not know ports.
fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

// === impl Reply ===

impl Reply {
    /// Reads an answer to its end.
    pub async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The target of its redirect.
    #[track_caller]
    pub fn location(&self) -> &str {
        self.header("location").expect("no redirect")
    }

    /// The automatic next URL of the browser, by a redirect or an intermediate page, as after a login.
    #[track_caller]
    pub fn leads_on(&self) -> String {
        self.target()
            .unwrap_or_else(|| panic!("the end: {} {}", self.status, self.body))
    }

    /// The same, if there is one.
    pub fn target(&self) -> Option<String> {
        if self.status == StatusCode::FOUND {
            return Some(self.location().to_owned());
        }
        let (_, rest) = self
            .body
            .split_once("<meta http-equiv=\"refresh\" content=\"0;url=")?;
        let (target, _) = rest.split_once('"')?;
        (self.status == StatusCode::OK).then(|| target.replace("&amp;", "&"))
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Status and code of a problem document.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.code())
    }

    /// The code of a problem document.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.body
        );
        self.json()["code"].as_str().unwrap().to_owned()
    }

    /// The cookies that it sets, verbatim.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}
