//! A server whose browsers use https, as far as it can see, and a browser that binds its session.

use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::key::DeviceKey;
use crate::support::{Browser, HOSTS, Reply, Stack};

/// Requests need no bound cookie for so long after the registration, nor does a browser have to have registered before.
pub const MINUTE: Duration = Duration::from_mins(1);

/// The lifetime of a bound cookie, with the tolerance for its way.
pub const BOUND: Duration = Duration::from_secs(600 + 30);

/// The headers of an invitation.
pub struct Invitation {
    pub algorithms: String,
    pub path: String,
    pub challenge: String,
    pub authorization: String,
}

/// A browser with a key.
pub struct Device {
    pub browser: Browser,
    pub key: DeviceKey,
    /// Its name for its session.
    pub id: String,
    /// The challenge for its next proof.
    pub challenge: String,
}

/// A stack with these variables, all of whose hosts have https.
pub async fn start(variables: &[(&str, &str)]) -> Stack {
    let mut builder = Stack::builder();
    for (name, value) in variables {
        builder = builder.set(name, *value);
    }
    builder
        // Time is moved in leaps here.
        .idp(|options| options.access_token_lifetime = Duration::from_hours(2))
        .variables(|variables, _| {
            let port = variables
                .iter()
                .find(|(name, _)| name == "PORT")
                .unwrap()
                .1
                .clone();
            let origins = HOSTS.map(|host| format!("https://{host}:{port}"));
            let uris = origins
                .clone()
                .map(|origin| format!("{origin}/auth/callback"))
                .join(",");
            let mut set = |name: &str, value: String| {
                variables.retain(|(other, _)| other != name);
                variables.push((name.to_owned(), value));
            };
            set("BFF_BASE_URL", origins[0].clone());
            set("DCR_REDIRECT_URIS", uris);
            // The IdP has no TLS to check.
            set(
                "DCR_JWKS_URI",
                format!("http://127.0.0.1:{port}/.well-known/jwks.json"),
            );
        })
        .start()
        .await
}

/// The origin of a page, as a browser names it.
pub fn origin(browser: &Browser) -> String {
    browser.origin().replace("http://", "https://")
}

/// Logs in. The proxy that would take TLS off is left out.
pub async fn log_in(browser: &Browser) -> Reply {
    let callback = browser.authorize("/auth/login").await;
    let reply = browser.get(&callback.replace("https://", "http://")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply
}

/// The answer of `/auth/session`.
pub async fn session(browser: &Browser) -> Value {
    browser.session().await
}

pub async fn is_logged_in(browser: &Browser) -> bool {
    session(browser).await["authenticated"] == true
}

/// A POST of the browser itself, without a page.
pub async fn post(browser: &Browser, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = browser.request(Method::POST, path).build().unwrap();
    let origin = HeaderValue::from_str(&origin(browser)).unwrap();
    request.headers_mut().insert(header::ORIGIN, origin);
    for (name, value) in headers {
        let name: header::HeaderName = name.parse().unwrap();
        request
            .headers_mut()
            .insert(name, HeaderValue::from_str(value).unwrap());
    }
    browser.execute(request).await
}

/// The string that follows `name=` in a structured field.
pub fn parameter(field: &str, name: &str) -> String {
    let (_, rest) = field.split_once(&format!(";{name}=\"")).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

/// The challenge of an answer, and the session that it is for.
pub fn challenge(reply: &Reply) -> (String, String) {
    let field = reply.header("secure-session-challenge").unwrap();
    let challenge = field.split('"').nth(1).unwrap().to_owned();
    (challenge, parameter(field, "id"))
}

/// The invitation in the answer of a login, if there is one.
pub fn invitation(reply: &Reply) -> Option<Invitation> {
    let field = reply.header("secure-session-registration")?;
    Some(Invitation {
        algorithms: field.split(';').next().unwrap().to_owned(),
        path: parameter(field, "path"),
        challenge: parameter(field, "challenge"),
        authorization: parameter(field, "authorization"),
    })
}

/// Answers an invitation by `key`.
pub async fn register(browser: &Browser, key: &DeviceKey, invited: &Invitation) -> Reply {
    let proof = key.first_proof(&invited.challenge, &invited.authorization);
    post(browser, &invited.path, &[("secure-session-response", &proof)]).await
}

// === impl Device ===

impl Device {
    /// A browser of Ada that has logged in and registered a key.
    pub async fn logged_in(stack: &Stack) -> Self {
        let browser = stack.browser();
        let invited = invitation(&log_in(&browser).await).unwrap();
        let key = DeviceKey::make();
        let reply = register(&browser, &key, &invited).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let (challenge, id) = challenge(&reply);
        Self {
            browser,
            key,
            id,
            challenge,
        }
    }

    /// Renews the bound cookie with a proof.
    pub async fn renew(&mut self) -> Reply {
        let reply = self.try_to_renew(&self.key.proof(&self.challenge)).await;
        if reply.status == StatusCode::OK {
            self.challenge = challenge(&reply).0;
        }
        reply
    }

    pub async fn try_to_renew(&self, proof: &str) -> Reply {
        let headers = [
            ("sec-secure-session-id", &*self.id),
            ("secure-session-response", proof),
        ];
        post(&self.browser, "/auth/dbsc/refresh", &headers).await
    }

    /// Another client with the cookies of this browser.
    pub fn stolen(&self) -> Browser {
        let thief = Browser::new("grace", self.browser.origin());
        for (name, value) in self.browser.cookies(self.browser.origin()) {
            thief.set_cookie(&name, &value);
        }
        thief
    }

    /// The bound cookie.
    pub fn cookie(&self) -> Option<String> {
        self.browser
            .cookies(self.browser.origin())
            .remove("__Host-bff_bound")
    }
}
