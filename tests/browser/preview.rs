//! The React example, built by Vite and served by it, as a dev server of one's own would be.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use url::Url;

/// The server of Vite for a built page. It ends when this is dropped.
pub struct Preview {
    child: Child,
    pub origin: Url,
}

// === impl Preview ===

impl Preview {
    /// Starts it in its own process group, which ends with the standard input of its leading shell.
    pub fn start() -> Self {
        const GUARD: &str = "NO_COLOR=1 node ../../node_modules/vite/bin/vite.js preview --host localhost --port 0 & \
                             exec >&-; read -r _; kill -KILL 0";
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/react-vite");
        assert!(
            Path::new(folder).join("dist/index.html").exists(),
            "the example is not built; scripts/phases/browser builds it"
        );
        let mut child = Command::new("sh")
            .args(["-c", GUARD])
            .current_dir(folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Its proxy finds no bff at the usual port.
            .stderr(Stdio::null())
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
