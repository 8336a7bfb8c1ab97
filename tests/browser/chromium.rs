//! Headless Chromium with a fresh profile and its own chromedriver.

use std::{
    fs,
    future::Future,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use bff::clock::{Clock as _, SystemClock};
use serde_json::json;
use tempfile::TempDir;

use super::{
    network_log::NetworkLog,
    stack::Running,
    tokens::{Tokens, find},
    webdriver::Driver,
};

/// Quiet ones: requests go only to the stack.
const ARGUMENTS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--window-size=1200,1150",
    "--lang=en",
];

/// A browser at work.
pub struct Chromium {
    pub driver: Driver,
    folder: TempDir,
    process: DriverProcess,
}

/// The remains of a browser.
pub struct Remains {
    pub log: NetworkLog,
    profile: PathBuf,
    _folder: TempDir,
}

struct DriverProcess {
    child: Child,
    url: String,
}

/// Runs `work` in a fresh browser against a fresh stack and closes both, also if it fails.
pub async fn with_browser<W, F>(work: W) -> (Running, Remains)
where
    W: FnOnce(Running, Driver) -> F,
    F: Future<Output = Running> + Send + 'static,
{
    with_browser_at(Running::start().await, work).await
}

/// The same against a stack that runs already.
pub async fn with_browser_at<W, F>(running: Running, work: W) -> (Running, Remains)
where
    W: FnOnce(Running, Driver) -> F,
    F: Future<Output = Running> + Send + 'static,
{
    let chromium = Chromium::start().await;
    // Its own task, so that the browser is closed even after a panic.
    let outcome = tokio::spawn(work(running, chromium.driver.clone())).await;
    let remains = chromium.quit().await;
    match outcome {
        Ok(running) => (running, remains),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Waits until the browser or the server has made `condition` true.
pub async fn until<F>(what: &str, mut condition: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    for _ in 0..600 {
        if condition().await {
            return;
        }
        SystemClock.sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain until {what}");
}

/// Takes a picture of the page.
pub async fn picture(driver: &Driver, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
    fs::create_dir_all(&folder).unwrap();
    driver.picture(&folder.join(format!("{name}.png"))).await;
}

// === impl Chromium ===

impl Chromium {
    /// Starts it unchanged.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts it with further arguments.
    pub async fn start_with(further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = DriverProcess::start();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let all = ARGUMENTS.iter().chain(further);
        let mut arguments: Vec<String> = all.map(|argument| (*argument).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", path("profile")));
        // Every byte of every socket.
        arguments.push(format!("--log-net-log={}", path("network.json")));
        arguments.push("--net-log-capture-mode=Everything".to_owned());
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let driver = Driver::new(&process.url, capabilities)
            .await
            .unwrap_or_else(|error| panic!("Chromium does not start: {error}"));
        Self {
            driver,
            folder,
            process,
        }
    }

    /// Closes it, and keeps its profile.
    pub async fn quit(self) -> Remains {
        let Self {
            driver,
            folder,
            process,
        } = self;
        driver.quit().await;
        let path = folder.path().join("network.json");
        // The log is finished a moment after the last window has gone.
        let finished = || async { fs::read(&path).is_ok_and(|log| log.trim_ascii_end().ends_with(b"}")) };
        until("the network log is finished", finished).await;
        drop(process);
        Remains {
            log: NetworkLog::read(&path),
            profile: folder.path().join("profile"),
            _folder: folder,
        }
    }
}

// === impl Remains ===

impl Remains {
    /// Fails if a file of the profile contains an access or refresh token.
    pub fn check_profile(&self, tokens: &Tokens) {
        let mut files = 0;
        let mut folders = vec![self.profile.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    files += 1;
                    let what = format!("the profile's file {}", entry.file_name().display());
                    tokens.must_not_be_in(&what, &fs::read(entry.path()).unwrap());
                }
            }
        }
        assert!(files > 10, "only {files} files are in the profile");
    }
}

// === impl DriverProcess ===

impl DriverProcess {
    fn start() -> Self {
        // It gives up if its port for one address family is taken in the other.
        (0..5)
            .find_map(|_| Self::start_once())
            .unwrap_or_else(|| panic!("chromedriver does not start; scripts/phases/browser installs it"))
    }

    /// Starts it in its own process group, which ends with the standard input of its leading shell. Therefore neither
    /// chromedriver nor Chromium outlives this process, however that ends.
    fn start_once() -> Option<Self> {
        const GUARD: &str = "chromedriver --port=0 & exec >&-; read -r _; kill -KILL 0";
        let mut child = Command::new("sh")
            .args(["-c", GUARD])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut started = Self {
            child,
            url: String::new(),
        };
        let port: u16 = lines.by_ref().map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ")?
                .1
                .trim_end_matches('.')
                .parse()
                .ok()
        })?;
        started.url = format!("http://127.0.0.1:{port}");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Some(started)
    }
}

impl Drop for DriverProcess {
    fn drop(&mut self) {
        // Closes its standard input first.
        let _ = self.child.wait();
    }
}

/// Everything that a page and its script can reach, as text.
pub async fn everything_in_the_page(driver: &Driver) -> serde_json::Value {
    const LOOK: &str = r#"
        const done = arguments[arguments.length - 1];
        const all = (storage) => Object.fromEntries(Object.entries(storage));
        Promise.all([indexedDB.databases(), caches.keys(), navigator.serviceWorker.getRegistrations()])
          .then(([databases, caches, workers]) => done({
            html: document.documentElement.outerHTML,
            inputs: [...document.querySelectorAll("input")].map((input) => input.value),
            url: location.href,
            referrer: document.referrer,
            name: window.name,
            history: history.state,
            cookie: document.cookie,
            local: all(localStorage),
            session: all(sessionStorage),
            databases, caches, workers: workers.length,
            resources: performance.getEntries().map((entry) => entry.name),
            globals: Object.getOwnPropertyNames(window).map((name) => {
              try { return `${name}: ${String(window[name])}`; } catch { return name; }
            }),
            known: globalThis.bff?.state ?? null,
          }))
          .catch((error) => done({ failed: String(error) }));
    "#;
    let seen = driver.execute(LOOK, &[]).await;
    assert!(seen.get("html").is_some(), "{seen}");
    seen
}

/// Fails where any token is in reach of the page, or where script finds any storage in use.
pub async fn check_page(driver: &Driver, tokens: &Tokens) {
    let seen = everything_in_the_page(driver).await;
    assert_eq!(seen["cookie"], "", "script can read a cookie");
    assert_eq!(seen["local"], json!({}));
    assert_eq!(seen["session"], json!({}));
    for empty in ["databases", "caches"] {
        assert_eq!(seen[empty], json!([]), "{empty}");
    }
    assert_eq!(seen["workers"], 0);
    let text = serde_json::to_vec(&seen).unwrap();
    assert!(find(&text, "<html").len() == 1);
    tokens.must_all_be_absent_from("the page", &text);
}
