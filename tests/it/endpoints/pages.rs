//! Pages for people: language, brand, and the changes of operators.

use std::fs;

use http::{Method, StatusCode};

use crate::{
    login::guarded,
    support::{Browser, Reply, Stack},
};

async fn in_language(browser: &Browser, path: &str, accept_language: &str) -> Reply {
    let request = browser
        .request(Method::GET, path)
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("accept-language", accept_language);
    browser.send(request).await
}

/// A code block of `docs/pages.md`: the one after the name of its file.
fn recipe(file: &str) -> &'static str {
    let page = include_str!("../../../docs/pages.md");
    let (_, after) = page.split_once(&format!("\n`{file}`\n\n```")).unwrap();
    let (_, block) = after.split_once('\n').unwrap();
    block.split_once("\n```").unwrap().0
}

#[tokio::test]
async fn pages_speak_the_language_of_the_person() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for (accept, language, unknown, out, question) in [
        (
            "de-AT,de;q=0.9,en;q=0.8",
            "de",
            "Sie sind noch nicht angemeldet",
            "Sie sind abgemeldet",
            "Möchten Sie sich abmelden?",
        ),
        (
            "fr-CA",
            "fr",
            "Vous n’êtes pas encore connecté",
            "Vous êtes déconnecté",
            "Voulez-vous vous déconnecter\u{a0}?",
        ),
        (
            "es;q=0.8, ja",
            "es",
            "Todavía no has iniciado sesión",
            "Has cerrado la sesión",
            "¿Quieres cerrar la sesión?",
        ),
        (
            "ja",
            "en",
            "You are not logged in yet",
            "You are logged out",
            "Do you want to log out?",
        ),
    ] {
        for (path, title) in [
            ("/auth/callback?state=unknown", unknown),
            ("/auth/logged-out", out),
            ("/auth/logout", question),
        ] {
            let reply = in_language(&ada, path, accept).await;
            guarded(&reply);
            assert!(
                reply.body.contains(&format!("<h1>{title}</h1>")),
                "{path}: {}",
                reply.body
            );
            assert!(reply.body.contains(&format!("<html lang=\"{language}\">")));
            assert_eq!(reply.header("content-language"), Some(language));
            assert!(reply.header("vary").unwrap().contains("accept-language"));
        }
    }
}

/// None mentions logs.
#[tokio::test]
async fn every_page_links_to_the_start_page() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    for (path, status) in [
        ("/auth/callback?state=unknown", 400),
        ("/auth/callback?state=a&state=b", 400),
        ("/auth/login?return_to=//evil.example", 400),
        ("/auth/login?max_age=x", 400),
        ("/auth/login?prompt=garbage", 400),
        ("/auth/logout", 403),
        ("/auth/logged-out", 200),
    ] {
        let reply = ada.get(path).await;
        assert_eq!(reply.status.as_u16(), status, "{path}");
        assert!(reply.body.contains("href=\"/\""), "{path}: {}", reply.body);
        for word in [
            "server's log",
            "the log ",
            "the log.",
            "correlation id",
            "A link led you here",
        ] {
            assert!(!reply.body.contains(word), "{path} says {word:?}");
        }
    }
    // An IdP that does not answer.
    stack
        .idp
        .fail_next(devstack_idp::Endpoint::Par, devstack_idp::Fault::status(500));
    let reply = ada.get("/auth/login").await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.body.contains("href=\"/\"") && !reply.body.contains("the server's log"));
}

/// A page for a person, JSON for a program.
#[tokio::test]
async fn a_refused_form_is_a_page_or_json() {
    let stack = Stack::start().await;
    let ada = stack.browser();
    ada.log_in().await;
    let post = |accept: &str| {
        ada.request(Method::POST, "/auth/logout")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", accept)
            .body("csrf_token=of-an-earlier-session")
    };
    let page = ada.send(post("text/html,*/*;q=0.8")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    crate::login::is_error_page(&page, "csrf_token");
    let json = ada.send(post("*/*")).await;
    assert_eq!(json.refusal(), (403, "csrf_token".to_owned()));
    assert!(ada.is_logged_in().await);
}

#[tokio::test]
async fn the_brand_is_on_every_page() {
    let stack = Stack::builder()
        .set("BRAND_NAME", "Ada & Söhne")
        .set("BRAND_LOGO_URI", "https://cdn.example/logo.svg")
        .set("BRAND_COLOR", "#b00020")
        .start()
        .await;
    let ada = stack.browser();
    for path in ["/auth/callback?state=unknown", "/auth/logged-out", "/auth/logout"] {
        let reply = ada.get(path).await;
        guarded(&reply);
        assert!(reply.body.contains("Ada &amp; Söhne"), "{path}");
        assert!(reply.body.contains("<img src=\"https://cdn.example/logo.svg\""));
        assert!(reply.body.contains("--accent: #b00020;"));
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("img-src https://cdn.example;"), "{policy}");
    }
}

#[tokio::test]
async fn the_folder_of_the_documentation_overrides_layout_and_texts() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["de.yaml", "page.html"] {
        fs::write(folder.path().join(file), recipe(file)).unwrap();
    }
    let stack = Stack::builder()
        .set("BFF_TEMPLATES_DIR", folder.path().display().to_string())
        .start()
        .await;
    let ada = stack.browser();
    let german = in_language(&ada, "/auth/logged-out", "de").await;
    guarded(&german);
    assert!(
        german.body.contains("<header>Our application</header>"),
        "{}",
        german.body
    );
    assert!(german.body.contains("<h1>Auf Wiedersehen</h1>"));
    assert!(german.body.contains("<p>Bis bald: wir freuen uns auf Sie.</p>"));
    let english = in_language(&ada, "/auth/logged-out", "en").await;
    assert!(english.body.contains("<h1>You are logged out</h1>"));
    // The button of the changed page works.
    ada.log_in().await;
    let page = ada.get("/auth/logout").await;
    assert!(
        page.body
            .contains("<meta name=\"referrer\" content=\"same-origin\">")
    );
    let (_, token) = page.body.split_once("name=\"csrf_token\" value=\"").unwrap();
    let token = token.split_once('"').unwrap().0.to_owned();
    let request = ada
        .request(Method::POST, "/auth/logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("csrf_token={token}"));
    assert_eq!(ada.send(request).await.status, StatusCode::SEE_OTHER);
    assert!(!ada.is_logged_in().await);
}

#[tokio::test]
async fn a_mistake_in_a_template_stops_the_start_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    fs::write(&page, recipe("page.html").replace("{{ title }}", "{{ titel }}")).unwrap();
    let stack = Stack::builder()
        .set("BFF_TEMPLATES_DIR", folder.path().display().to_string())
        .without_server()
        .start_without_waiting()
        .await;
    let error = stack.app().await.unwrap_err().to_string();
    let expected = format!("the templates of pages: {}:10: ", page.display());
    assert!(error.starts_with(&expected), "{error}");
}
