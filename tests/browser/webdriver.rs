//! As much of a `WebDriver` client as one journey takes (the W3C's standard, chromedriver's `goog` commands).
//!
//! By hand, because the client crates enable features of shared dependencies (`serde_json/preserve_order`), and every
//! other test would then run with another `serde_json` than the server does.

use std::{fs, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde_json::{Value, json};

/// How an element is named on the wire (section 12.2 of the standard).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session with a browser. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    client: reqwest::Client,
    session: Arc<str>,
}

/// A tab, by its handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tab(Value);

/// The driver's answer to a failed command: its error code and text.
#[derive(Debug, thiserror::Error)]
#[error("{command}: {error}: {message}")]
pub struct Failed {
    command: String,
    error: String,
    message: String,
}

// === impl Driver ===

impl Driver {
    /// Starts a browser.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is not the server, whose rules these are"
    )]
    pub async fn new(server: &str, capabilities: Value) -> Result<Self, Failed> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_mins(2))
            .build()
            .unwrap();
        let mut driver = Self {
            client,
            session: server.into(),
        };
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = driver.post("session", wanted).await?;
        let id = answer["sessionId"].as_str().unwrap();
        driver.session = format!("{server}/session/{id}").into();
        Ok(driver)
    }

    /// Closes the browser.
    pub async fn quit(self) {
        self.send(Method::DELETE, "", None).await.unwrap();
    }

    /// Opens a page in this tab.
    pub async fn goto(&self, url: impl AsRef<str>) {
        self.post("url", json!({ "url": url.as_ref() })).await.unwrap();
    }

    /// Presses "back".
    pub async fn back(&self) {
        self.post("back", json!({})).await.unwrap();
    }

    /// The URL of this tab.
    pub async fn url(&self) -> String {
        let url = self.get("url").await.unwrap();
        url.as_str().unwrap().to_owned()
    }

    /// The text of the first element that matches `css`.
    pub async fn text(&self, css: &str) -> Result<String, Failed> {
        let element = self.find(css).await?;
        let text = self.get(&format!("element/{element}/text")).await?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Clicks the first element that `css` finds.
    pub async fn click(&self, css: &str) -> Result<(), Failed> {
        let element = self.find(css).await?;
        self.post(&format!("element/{element}/click"), json!({})).await?;
        Ok(())
    }

    /// Types into a field.
    pub async fn fill(&self, css: &str, text: &str) -> Result<(), Failed> {
        let element = self.find(css).await?;
        self.post(&format!("element/{element}/clear"), json!({})).await?;
        self.post(&format!("element/{element}/value"), json!({ "text": text }))
            .await?;
        Ok(())
    }

    /// Runs a script in the page; its last argument is a function that takes the result.
    pub async fn execute(&self, script: &str, arguments: &[&str]) -> Value {
        let call = json!({ "script": script, "args": arguments });
        self.post("execute/async", call).await.unwrap()
    }

    /// This tab.
    pub async fn tab(&self) -> Tab {
        Tab(self.get("window").await.unwrap())
    }

    /// Opens another tab, which is not this one yet.
    pub async fn new_tab(&self) -> Tab {
        let mut answer = self.post("window/new", json!({ "type": "tab" })).await.unwrap();
        Tab(answer["handle"].take())
    }

    /// Makes another tab this one.
    pub async fn switch_to(&self, tab: &Tab) {
        self.post("window", json!({ "handle": tab.0 })).await.unwrap();
    }

    /// Closes this tab.
    pub async fn close_tab(&self) {
        self.send(Method::DELETE, "window", None).await.unwrap();
    }

    /// Takes a picture of the page.
    pub async fn picture(&self, path: &Path) {
        let picture = self.get("screenshot").await.unwrap();
        fs::write(path, STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }

    /// Sends a command of the `DevTools` protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let call = json!({ "cmd": command, "params": parameters });
        self.post("goog/cdp/execute", call).await.unwrap()
    }

    /// The console messages since the last look: level and message.
    pub async fn console(&self) -> Vec<(String, String)> {
        let log = self.post("se/log", json!({ "type": "browser" })).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = log.as_array().unwrap().iter();
        entries
            .map(|entry| (text(&entry["level"]), text(&entry["message"])))
            .collect()
    }

    async fn find(&self, css: &str) -> Result<String, Failed> {
        let wanted = json!({ "using": "css selector", "value": css });
        let found = self.post("element", wanted).await?;
        Ok(found[ELEMENT].as_str().unwrap().to_owned())
    }

    async fn get(&self, command: &str) -> Result<Value, Failed> {
        self.send(Method::GET, command, None).await
    }

    async fn post(&self, command: &str, body: Value) -> Result<Value, Failed> {
        self.send(Method::POST, command, Some(body)).await
    }

    async fn send(&self, method: Method, command: &str, body: Option<Value>) -> Result<Value, Failed> {
        let url = format!("{}/{command}", self.session);
        let mut request = self.client.request(method, url.trim_end_matches('/'));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let ok = answer.status().is_success();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let value = answer["value"].take();
        if ok {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Failed {
            command: command.to_owned(),
            error: text("error"),
            message: text("message"),
        })
    }
}
