//! The real binary as a separate process.

use std::{
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;

use super::stack::pause;

/// How often a process is polled before a test gives up.
const PATIENCE: usize = 15_000;

/// A running `bff`. It is killed when it is dropped.
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

/// A `bff` that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// Its output, standard output and standard error.
    pub output: String,
}

// === impl Ended ===

impl Ended {
    /// Expects this exit code, and all of `parts` in the output.
    #[track_caller]
    pub fn says(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{}", self.output);
        for part in parts {
            assert!(self.output.contains(part), "no {part:?} in:\n{}", self.output);
        }
    }
}

// === impl Process ===

impl Process {
    /// Starts `bff` with these arguments in `folder`. Nothing of the environment of the tests reaches it.
    pub fn start<V: AsRef<str>>(folder: &Path, arguments: &[&str], variables: &[(V, V)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bff"));
        command.args(arguments);
        Self::spawn(command, folder, variables)
    }

    /// The same with files limited to this many blocks (of 512 or 1024 bytes), as on a full disk.
    pub fn start_on_a_full_disk<V: AsRef<str>>(
        folder: &Path,
        arguments: &[&str],
        variables: &[(V, V)],
        blocks: u32,
    ) -> Self {
        // A process that goes beyond the limit gets an error instead of a signal.
        let script = format!("trap '' XFSZ && ulimit -f {blocks} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .args(["-c", &script, env!("CARGO_BIN_EXE_bff")])
            .args(arguments);
        Self::spawn(command, folder, variables)
    }

    /// The same as a user whom the permissions of files bind: root loses the capabilities that pass over them.
    pub fn start_bound<V: AsRef<str>>(folder: &Path, arguments: &[&str], variables: &[(V, V)]) -> Self {
        let script = "if [ \"$(id -u)\" = 0 ]; then \
                      exec setpriv --bounding-set=-dac_override,-dac_read_search \"$0\" \"$@\"; else exec \"$0\" \"$@\"; fi";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_bff")])
            .args(arguments);
        let mut variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        variables.push(("PATH", "/usr/local/bin:/usr/bin:/bin"));
        Self::spawn(command, folder, &variables)
    }

    /// The server in a shell that has run `limits` first, such as `ulimit -n 1024`.
    pub fn start_within<V: AsRef<str>>(folder: &Path, limits: &str, variables: &[(V, V)]) -> Self {
        let script = format!("{limits} && exec \"$0\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_bff")]);
        Self::spawn(command, folder, variables)
    }

    /// Starts `script` in a shell, in `folder`, that finds `bff` beside the programs of the system. A long-running
    /// command has to be `exec`uted.
    pub fn shell<V: AsRef<str>>(folder: &Path, script: &str, variables: &[(V, V)]) -> Self {
        let programs = Path::new(env!("CARGO_BIN_EXE_bff")).parent().unwrap();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
        let mut variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .collect();
        variables.push(("PATH", &path));
        let mut command = Command::new("sh");
        command.args(["-euc", script]);
        Self::spawn(command, folder, &variables)
    }

    fn spawn<V: AsRef<str>>(mut command: Command, folder: &Path, variables: &[(V, V)]) -> Self {
        let mut child = command
            .current_dir(folder)
            .env_clear()
            .envs(
                variables
                    .iter()
                    .map(|(name, value)| (name.as_ref(), value.as_ref())),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &output);
        collect(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    /// Its output so far.
    pub fn output(&self) -> String {
        self.output.lock().clone()
    }

    /// The most memory that it has had so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        let kibibytes = line.trim().strip_suffix(" kB").unwrap();
        kibibytes.parse::<u64>().unwrap() << 10
    }

    /// Waits until it has written `text`.
    pub async fn says(&mut self, text: &str) {
        for _ in 0..PATIENCE {
            if self.output().contains(text) {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended ({status}) without {text:?}:\n{}", self.output());
            }
            pause().await;
        }
        panic!("waited in vain for {text:?}:\n{}", self.output());
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        for _ in 0..PATIENCE {
            // The pipes are closed once both readers are gone, and then everything has been read.
            if let Some(status) = self.child.try_wait().unwrap()
                && Arc::strong_count(&self.output) == 1
            {
                let code = status.code().expect("it was killed");
                let output = self.output();
                return Ended { code, output };
            }
            pause().await;
        }
        panic!("it does not end:\n{}", self.output());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            let mut output = output.lock();
            output.push_str(&line);
            output.push('\n');
        }
    });
}
