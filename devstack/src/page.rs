//! The sample page: plain HTML, CSS and JavaScript, served as files of this binary.
//!
//! It represents the application of a user of the server, so it knows only the endpoints. Its policy allows no inline
//! script, no inline style and no foreign origin.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;

/// The settings of the page.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Config {
    /// All origins that serve the page, for the links between them.
    pub origins: Vec<String>,
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A file of the page.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const FILES: [File; 4] = [
    File {
        path: "/",
        media_type: "text/html; charset=utf-8",
        content: include_str!("page/index.html"),
    },
    File {
        path: "/app.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("page/app.js"),
    },
    // Built from packages/bff-client; `scripts/test packages` fails if it is out of date.
    File {
        path: "/bff-client.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("page/bff-client.js"),
    },
    File {
        path: "/style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("page/style.css"),
    },
];

/// The page at `/`, with its files and `/page-config.json`.
pub fn router(config: Config) -> Router {
    let mut router = Router::new().route("/page-config.json", get(page_config));
    for file in FILES {
        router = router.route(file.path, get(move || async move { file.into_response() }));
    }
    router.with_state(config)
}

async fn page_config(State(config): State<Config>) -> Response {
    with_header(Json(config).into_response())
}

// === impl File ===

impl IntoResponse for File {
    fn into_response(self) -> Response {
        let media_type = HeaderValue::from_static(self.media_type);
        with_header(([(header::CONTENT_TYPE, media_type)], self.content).into_response())
    }
}

fn with_header(mut response: Response) -> Response {
    let fields: [(HeaderName, &str); 4] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        // A file of a newer binary shows at once.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    for (name, value) in fields {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::{Request, StatusCode};
    use tower::ServiceExt as _;

    use super::*;

    async fn fetch(path: &str) -> (StatusCode, http::HeaderMap, String) {
        let config = Config {
            origins: vec!["http://app1.localhost:8000".to_owned()],
        };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router(config).oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        (
            parts.status,
            parts.headers,
            String::from_utf8(body.to_vec()).unwrap(),
        )
    }

    #[tokio::test]
    async fn every_file_is_served_under_a_policy_without_inline_script() {
        for path in [
            "/",
            "/app.js",
            "/bff-client.js",
            "/style.css",
            "/page-config.json",
        ] {
            let (status, header, body) = fetch(path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            let policy = header[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(
                policy.contains("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert!(!body.is_empty());
        }
        let (_, _, config) = fetch("/page-config.json").await;
        assert_eq!(config, r#"{"origins":["http://app1.localhost:8000"]}"#);
    }

    #[tokio::test]
    async fn the_page_keeps_its_own_policy() {
        let (_, _, html) = fetch("/").await;
        let (_, _, app) = fetch("/app.js").await;
        let (_, _, client) = fetch("/bff-client.js").await;
        let script = app + &client;
        let (_, _, style) = fetch("/style.css").await;
        assert!(!html.contains("<style") && !html.contains(" style=") && !html.contains("<script>"));
        for handler in [" onclick", " onload", " onsubmit", " onerror", "javascript:"] {
            assert!(!html.contains(handler), "{handler}");
        }
        // Nothing is fetched from elsewhere, and answers are never read as HTML.
        for text in [&html, &script, &style] {
            let foreign = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!foreign.contains("http://") && !foreign.contains("https://"));
        }
        for dangerous in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "document.write",
        ] {
            assert!(!script.contains(dangerous), "{dangerous}");
        }
        // The browser keeps only the cookie, which script cannot read.
        assert!(
            !script.contains("localStorage")
                && !script.contains("sessionStorage")
                && !script.contains("document.cookie")
        );
    }
}
