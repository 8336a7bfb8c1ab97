//! The example `examples/react-vite`, built by Vite and served by it behind the bff, as `devstack --page` does.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
};

use devstack::stack::Overrides;
use url::Url;

use super::{
    chromium::{Remains, check_page, with_browser_at},
    cookies,
    person::{allow, at_the_idp, click, fill, give_password, host, is_greeted, sees, text},
    stack::Running,
    tokens::find,
    webdriver::Driver,
};

/// The server of Vite for a built page. It ends when this is dropped.
struct Preview {
    child: Child,
    origin: Url,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_react_example_follows_its_session() {
    let preview = Preview::start();
    let overrides = Overrides {
        page: Some(preview.origin.clone()),
        cors_origins: None,
    };
    let running = Running::start_with(overrides).await;
    let (running, remains) = with_browser_at(running, |running, driver| async move {
        one_session(&running, &driver).await;
        running
    })
    .await;
    one_stream(&remains);
    remains.check_profile(&running.tokens);
}

/// Logs in, calls the API, and logs out while a second tab is open.
async fn one_session(running: &Running, driver: &Driver) {
    let page = format!("{}/?open=1#list", running.origins[0]);
    driver.goto(&page).await;
    sees(driver, "#headline", "Nobody is logged in.").await;
    click(driver, "#login").await;
    at_the_idp(driver).await;
    give_password(driver, "ada").await;
    sees(driver, "h1", "Allow access?").await;
    allow(driver).await;
    assert_eq!(driver.url().await, page, "the login comes back to where it began");

    click(driver, "#hello").await;
    sees(driver, "#answer", "Hello, Ada Lovelace").await;
    fill(driver, "#note", "Weave algebraical patterns").await;
    click(driver, "#write").await;
    sees(driver, "#answer", "The API keeps 1 of your notes.").await;

    let first = driver.tab().await;
    let second = driver.new_tab().await;
    driver.switch_to(&second).await;
    driver.goto(&page).await;
    is_greeted(driver).await;
    driver.switch_to(&first).await;
    click(driver, "#logout").await;
    sees(driver, "h1", "You are logged out").await;
    assert!(cookies::of(driver, &host(&page)).await.is_empty());

    driver.switch_to(&second).await;
    sees(driver, "#notice", "Your session has ended (logout).").await;
    sees(driver, "#headline", "Nobody is logged in.").await;
    assert!(!text(driver, "body").await.contains("Ada"));
    check_page(driver, &running.tokens).await;
}

/// Both tabs were served by one stream of events.
fn one_stream(remains: &Remains) {
    let sockets = remains.log.sockets();
    let streams: usize = sockets
        .map(|socket| find(&socket.sent, "GET /auth/events HTTP/1.1").len())
        .sum();
    assert_eq!(streams, 1);
}

// === impl Preview ===

impl Preview {
    /// Starts it in its own process group, which ends with the standard input of its leading shell.
    fn start() -> Self {
        const GUARD: &str = "NO_COLOR=1 node ../../node_modules/vite/bin/vite.js preview --host localhost --port 0 & \
                             exec >&-; read -r _; kill -KILL 0";
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/react-vite");
        assert!(
            std::path::Path::new(folder).join("dist/index.html").exists(),
            "the example is not built; scripts/phases/browser builds it"
        );
        let mut child = Command::new("sh")
            .args(["-c", GUARD])
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines_of_text = lines.by_ref().map_while(Result::ok);
        let origin = lines_of_text
            .find_map(|line| Url::parse(line.split_once("Local:")?.1.trim()).ok())
            .unwrap_or_else(|| panic!("Vite does not start"));
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, origin }
    }
}

impl Drop for Preview {
    fn drop(&mut self) {
        // Closes its standard input first.
        let _ = self.child.wait();
    }
}
