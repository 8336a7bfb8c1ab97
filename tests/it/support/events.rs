//! A stream of server-sent events, as a browser reads it.

use std::collections::VecDeque;

use http::{Method, StatusCode};
use serde_json::Value;

use super::Browser;

/// An open stream of `/auth/events`.
pub struct Events {
    response: reqwest::Response,
    rest: String,
    read: VecDeque<(String, Value)>,
    /// The browser's `Last-Event-ID`.
    pub last_id: String,
    /// Every byte that came.
    pub all: String,
}

// === impl Events ===

impl Events {
    /// Opens a stream, as a tab of `browser` does.
    pub async fn open(browser: &Browser) -> Self {
        Self::after(browser, "").await
    }

    /// Opens a stream again after `last_id`.
    pub async fn after(browser: &Browser, last_id: &str) -> Self {
        let response = Self::ask(browser, last_id).await;
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            response,
            rest: String::new(),
            read: VecDeque::new(),
            last_id: last_id.to_owned(),
            all: String::new(),
        }
    }

    /// Asks for a stream, which may be refused.
    pub async fn ask(browser: &Browser, last_id: &str) -> reqwest::Response {
        let mut request = browser.request(Method::GET, "/auth/events");
        request = request.header("accept", "text/event-stream");
        if !last_id.is_empty() {
            request = request.header("last-event-id", last_id);
        }
        request.send().await.unwrap()
    }

    /// The header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap())
    }

    /// The next event, its name and its data. `None` if the stream has ended in order.
    pub async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            self.more().await?;
        }
    }

    /// Waits for more bytes, be they events or not.
    pub async fn more(&mut self) -> Option<()> {
        let chunk = self.response.chunk().await.unwrap()?;
        let chunk = std::str::from_utf8(&chunk).unwrap();
        self.all.push_str(chunk);
        self.rest.push_str(chunk);
        while let Some((message, rest)) = self.rest.clone().split_once("\n\n") {
            rest.clone_into(&mut self.rest);
            self.take(message);
        }
        Some(())
    }

    fn take(&mut self, message: &str) {
        let (mut name, mut data) = ("message", None);
        for line in message.lines() {
            match line.split_once(':').unwrap() {
                ("event", value) => name = value.trim_start(),
                ("data", value) => data = Some(value),
                ("id", value) => value.trim_start().clone_into(&mut self.last_id),
                ("retry" | "", _) => {}
                (field, _) => panic!("no browser knows {field}"),
            }
        }
        if let Some(data) = data {
            let data = serde_json::from_str(data).unwrap();
            self.read.push_back((name.to_owned(), data));
        }
    }
}
