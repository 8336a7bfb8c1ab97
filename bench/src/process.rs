//! Processes pinned to a core, and their CPU time.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bff::clock::{Clock as _, SystemClock};

use super::Result;

/// The core of the server that is measured.
pub(super) const MEASURED_CORE: usize = 0;
/// The core of everything else.
pub(super) const OTHER_CORE: usize = 1;

/// The kernel counts CPU time in hundredths of a second (`USER_HZ`), on every architecture that Linux runs on here.
const TICKS_PER_SECOND: u64 = 100;

/// A process that this one started; stopped when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
}

// === impl Server ===

impl Server {
    /// Starts `command` on `core` and waits until it listens on `port`.
    pub(super) async fn start(command: Command, core: usize, port: u16) -> Result<Self> {
        let mut pinned = Command::new("taskset");
        pinned
            .arg("--cpu-list")
            .arg(core.to_string())
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => pinned.env(name, value),
                None => pinned.env_remove(name),
            };
        }
        Self::start_anywhere(pinned, port).await
    }

    /// The same on whatever core is free.
    pub(super) async fn start_anywhere(mut command: Command, port: u16) -> Result<Self> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()?;
        let mut server = Self { child, port };
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("a server ended before it listened: {status}").into());
            }
            SystemClock.sleep(Duration::from_millis(10)).await;
        }
        Err("a server does not listen".into())
    }

    /// The address of its listener.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// CPU time of the process and its children so far.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let mut ticks = 0;
        for pid in family(self.child.id()) {
            ticks += ticks_of(pid)?;
        }
        Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }

    /// Memory in use now, in KiB.
    pub(super) fn rss(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By pid, and only processes that were started here.
        let _ = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// CPU time of this process so far.
pub(super) fn own_cpu() -> Result<Duration> {
    let ticks = ticks_of(std::process::id())?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// The process and all its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(pid) = members.get(next) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        members.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        next += 1;
    }
    members
}

fn ticks_of(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may contain anything; utime and stime are the 14th and 15th field.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let field = |at: usize| -> Result<u64> { Ok(fields.get(at).ok_or("short stat")?.parse()?) };
    Ok(field(11)? + field(12)?)
}
