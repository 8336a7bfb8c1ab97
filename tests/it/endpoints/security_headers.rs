//! Fields by which answers of the server itself tell the browser how to handle them.

use crate::support::{Reply, Stack, http_client};

const HTTPS: &str = "app.example";

/// A stack with a host of its own that is https.
async fn stack() -> Stack {
    Stack::builder()
        .variables(|variables, _| {
            for (name, value) in variables {
                if name == "DCR_REDIRECT_URIS" {
                    value.push_str(",https://app.example/auth/callback,https://app.localhost/auth/callback");
                }
            }
        })
        .start()
        .await
}

async fn get(stack: &Stack, host: &str, path: &str) -> Reply {
    let request = http_client()
        .get(format!("http://{}{path}", stack.address))
        .header("host", host)
        .header("accept", "text/html");
    Reply::read(request.send().await.unwrap()).await
}

#[tokio::test]
async fn hosts_with_https_stay_with_it() {
    let stack = stack().await;
    for path in [
        "/auth/session",
        "/auth/login",
        "/auth/csrf",
        "/auth/nothing",
        "/auth/logout",
    ] {
        let reply = get(&stack, HTTPS, path).await;
        assert_eq!(
            reply.header("strict-transport-security"),
            Some("max-age=31536000"),
            "{path}"
        );
        // Others, those with plain http, and this machine, where other servers may listen.
        for host in [
            "other.example",
            "automate.localhost",
            "app.localhost",
            "127.0.0.1",
        ] {
            let reply = get(&stack, host, path).await;
            assert_eq!(reply.header("strict-transport-security"), None, "{host} {path}");
        }
    }
    // The service speaks for its own answers, and a proxy for the rest.
    for path in ["/public/x", "/auth/verify", "/nothing"] {
        assert_eq!(
            get(&stack, HTTPS, path).await.header("strict-transport-security"),
            None,
            "{path}"
        );
    }
}

#[tokio::test]
async fn nothing_of_ours_is_taken_for_another_type() {
    let stack = stack().await;
    for path in [
        "/auth/session",
        "/auth/callback?state=x&code=y",
        "/auth/logout",
        "/auth/logged-out",
        "/public//x",
        "/nothing",
        "/",
    ] {
        let reply = get(&stack, HTTPS, path).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            Some("nosniff"),
            "{path}: {}",
            reply.status
        );
    }
}

#[tokio::test]
async fn pages_of_ours_load_nothing_and_stand_in_no_frame() {
    let stack = stack().await;
    for path in [
        "/auth/callback?state=x&code=y",
        "/auth/logout",
        "/auth/logged-out",
        "/",
    ] {
        let reply = get(&stack, HTTPS, path).await;
        let policy = reply.header("content-security-policy").unwrap();
        for part in ["default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(
            !policy.contains("script-src") && !policy.contains("nonce"),
            "{path}: {policy}"
        );
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        let permissions = reply.header("permissions-policy").unwrap();
        for feature in ["camera", "geolocation", "microphone", "payment", "usb"] {
            assert!(
                permissions.contains(&format!("{feature}=()")),
                "{path}: {permissions}"
            );
        }
    }
}

/// Also if a script reads it: some browsers show any text as a page.
#[tokio::test]
async fn problems_of_ours_run_nothing_and_stand_in_no_frame() {
    let stack = stack().await;
    for path in ["/auth/sessions", "/nothing", "/public//x"] {
        let request = http_client().get(format!("http://{}{path}", stack.address));
        let reply = Reply::read(request.header("host", HTTPS).send().await.unwrap()).await;
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(
            reply.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
    }
}
