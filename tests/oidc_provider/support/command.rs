//! The binary, run beside the server on the same files.

use std::process::Command;

use super::Stack;

// === impl Stack ===

impl Stack {
    /// Runs the binary with `changes` to the variables; returns its exit code and output.
    pub async fn run(&self, arguments: &[&str], changes: &[(&str, &str)]) -> (i32, String) {
        let mut variables = self.environment();
        for (name, value) in changes {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let folder = self.keys().parent().unwrap().to_owned();
        // The provider fetches keys from the server, which runs on this thread.
        let ended = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_bff"));
            command
                .args(arguments)
                .current_dir(folder)
                .env_clear()
                .envs(variables);
            command.output().unwrap()
        });
        let ended = ended.await.unwrap();
        let text = [ended.stdout, ended.stderr].concat();
        (ended.status.code().unwrap(), String::from_utf8(text).unwrap())
    }
}
