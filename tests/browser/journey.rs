//! One journey through the sample page, and the search for tokens in everything that the browser has seen.

use super::{
    chromium::{Remains, check_page, until, with_browser},
    cookies,
    person::{allow, call, click, fill, give_password, go_to_the_idp, host, is_greeted, log_in, sees, text},
    stack::Running,
    tokens::find,
    webdriver::Driver,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_journey() {
    let (running, remains) = with_browser(|running, driver| async move {
        one_session(&running, &driver).await;
        two_tabs(&running, &driver).await;
        a_second_host(&running, &driver).await;
        no_complaints(&driver).await;
        running
    })
    .await;
    no_token_has_passed(&running, &remains);
    remains.check_profile(&running.tokens);
}

/// Log in, call, write, stay until the token is renewed, log out, press back.
async fn one_session(running: &Running, driver: &Driver) {
    let origin = &running.origins[0];
    driver.goto(format!("{origin}/")).await;
    go_to_the_idp(driver).await;
    assert!(driver.url().await.starts_with(&running.issuer));
    give_password(driver, "ada").await;
    sees(driver, "h1", "Allow access?").await;
    // The attempt has its own cookie, and there is no session yet.
    let attempt = cookies::of(driver, &host(origin)).await;
    assert_eq!(attempt.len(), 1);
    assert!(
        attempt[0].name.starts_with("__Host-Http-bff_login_"),
        "{}",
        attempt[0].name
    );
    allow(driver).await;
    assert_eq!(
        driver.url().await,
        format!("{origin}/"),
        "no code, no state in the address"
    );
    cookies::session(driver, &host(origin)).await;
    assert_eq!(
        cookies::of(driver, &host(origin)).await.len(),
        2,
        "the attempt is forgotten"
    );

    click(driver, "#hello").await;
    sees(driver, "#answer-title", "Hello, Ada Lovelace").await;
    fill(driver, "#note", "Weave algebraical patterns").await;
    click(driver, "#write").await;
    sees(driver, "#answer-title", "The note is kept.").await;
    assert!(text(driver, "#answer-meta").await.contains("1 note of yours"));

    let before = running.tokens.count();
    sees(driver, "#renewals", "by the server alone").await;
    assert!(running.tokens.count() > before);
    click(driver, "#hello").await;
    sees(driver, "#answer-title", "Hello, Ada Lovelace").await;
    check_page(driver, &running.tokens).await;

    click(driver, "#logout").await;
    sees(driver, "h1", "You are logged out").await;
    assert_eq!(
        driver.url().await,
        format!("{origin}/auth/logged-out"),
        "the IdP has sent the browser back"
    );
    assert!(cookies::of(driver, &host(origin)).await.is_empty());
    driver.back().await;
    // At once, not only after a poll of the page.
    assert!(!text(driver, "body").await.contains("Ada"));
    sees(driver, "#headline", "Nobody is logged in.").await;
    assert!(!text(driver, "body").await.contains("Ada"));
    assert_eq!(
        call(driver, "/api/hello").await,
        (401, "unauthenticated".to_owned())
    );
}

/// Logs in in two tabs at once and out in one of them.
async fn two_tabs(running: &Running, driver: &Driver) {
    let page = format!("{}/", running.origins[0]);
    let first = driver.tab().await;
    driver.goto(page.as_str()).await;
    go_to_the_idp(driver).await;
    let second = driver.new_tab().await;
    driver.switch_to(&second).await;
    driver.goto(page.as_str()).await;
    go_to_the_idp(driver).await;

    driver.switch_to(&first).await;
    give_password(driver, "ada").await;
    is_greeted(driver).await;
    let earlier = cookies::session(driver, &host(&page)).await;
    driver.switch_to(&second).await;
    give_password(driver, "ada").await;
    is_greeted(driver).await;
    assert_ne!(earlier, cookies::session(driver, &host(&page)).await);

    // The first tab learns of it, and continues with the session of the second.
    driver.switch_to(&first).await;
    until("the first tab knows the new session", || {
        knows_the_session(driver)
    })
    .await;
    click(driver, "#hello").await;
    sees(driver, "#answer-title", "Hello, Ada Lovelace").await;
    check_page(driver, &running.tokens).await;

    click(driver, "#logout").await;
    sees(driver, "h1", "You are logged out").await;
    driver.switch_to(&second).await;
    // It received the reason, and does not poll.
    sees(driver, "#notice", "Your session has ended: you have logged out").await;
    sees(driver, "#headline", "Nobody is logged in.").await;
    assert!(!text(driver, "body").await.contains("Ada"));
    check_page(driver, &running.tokens).await;
    driver.close_tab().await;
    driver.switch_to(&first).await;
}

/// Whether the page has read the session that the browser has now.
async fn knows_the_session(driver: &Driver) -> bool {
    const COMPARE: &str = r"
        const [done] = arguments;
        fetch('/auth/session?touch=false')
          .then((response) => response.json())
          .then(async (now) => done(await bff.csrfToken() === now.csrf_token))
          .catch(() => done(false));
    ";
    driver.execute(COMPARE, &[]).await == true
}

/// Each host has its own session; the IdP asks nothing the second time. They are one login at the IdP, which notifies
/// the bff of its end (OpenID Connect Back-Channel Logout 1.0).
async fn a_second_host(running: &Running, driver: &Driver) {
    let [first, second] = [0, 1].map(|index| running.origins[index].clone());
    driver.goto(format!("{first}/")).await;
    log_in(driver).await;
    let of_first = cookies::session(driver, &host(&first)).await;

    driver.goto(format!("{second}/")).await;
    sees(driver, "#headline", "Nobody is logged in").await;
    click(driver, "#login").await;
    is_greeted(driver).await;
    assert!(driver.url().await.starts_with(&second));
    let of_second = cookies::session(driver, &host(&second)).await;
    assert_ne!(of_first, of_second);
    click(driver, "#hello").await;
    sees(driver, "#answer-title", "Hello, Ada Lovelace").await;
    check_page(driver, &running.tokens).await;

    click(driver, "#logout").await;
    sees(driver, "h1", "You are logged out").await;
    assert!(driver.url().await.starts_with(&second));
    assert!(cookies::of(driver, &host(&second)).await.is_empty());
    assert_eq!(cookies::session(driver, &host(&first)).await, of_first);
    driver.goto(format!("{first}/")).await;
    log_in(driver).await;

    // A page from before the logout shows nothing either when the browser restores it.
    driver.goto(format!("{first}/auth/logout")).await;
    click(driver, "button.action").await;
    sees(driver, "h1", "You are logged out").await;
    driver.back().await;
    driver.back().await;
    assert_eq!(driver.url().await, format!("{first}/"));
    assert!(!text(driver, "body").await.contains("Ada"));
    sees(driver, "#headline", "Nobody is logged in.").await;
}

/// The console shows only expected refusals: no policy was violated. A page that is left, or restored, may ask for the events of
/// a session that has just ended.
async fn no_complaints(driver: &Driver) {
    const ASKED_FOR: [(&str, &str); 3] = [
        ("/api/hello", "401"),
        ("/auth/logout", "403"),
        ("/auth/events", "401"),
    ];
    for (level, message) in driver.console().await {
        let mut asked_for = ASKED_FOR.iter();
        let asked_for = asked_for.any(|(path, status)| message.contains(path) && message.contains(status));
        assert!(asked_for || level != "SEVERE", "the console complains: {message}");
    }
}

/// Searches every byte that went through the browser's sockets, and the log of them.
fn no_token_has_passed(running: &Running, remains: &Remains) {
    let tokens = &running.tokens;
    tokens.must_not_be_in("the network log", remains.log.text());
    let [mut greetings, mut hints] = [0, 0];
    let idp = format!("\r\nHost: {}\r\n", running.issuer.trim_start_matches("http://"));
    for socket in remains.log.sockets() {
        tokens.must_not_be_in("what the browser has sent", &socket.sent);
        tokens.must_not_be_in("what the browser has received", &socket.received);
        greetings += find(
            &socket.received,
            "Hello, Ada Lovelace. Your API has read your token.",
        )
        .len();
        for at in tokens.find_id_tokens(&socket.sent) {
            hints += 1;
            // A request line has no other space before its target ends.
            let mut words = socket.sent[..at].rsplit(|byte| *byte == b' ');
            let target = words.next().unwrap();
            assert!(
                target.starts_with(b"/logout?") && words.next().unwrap().ends_with(b"GET"),
                "an ID token is sent elsewhere than in the request that ends the session at the IdP"
            );
            let rest = String::from_utf8_lossy(&socket.sent[at..]);
            let head = rest.split("\r\n\r\n").next().unwrap();
            assert!(
                head.contains(idp.trim_end()),
                "an ID token is sent to somebody else than the IdP"
            );
        }
    }
    // The search finds existing text.
    assert!(greetings >= 4, "{greetings} greetings are in the network log");
    assert_eq!(hints, 4, "every logout carries its hint once");
}
