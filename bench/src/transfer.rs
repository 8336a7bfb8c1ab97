//! The cost of a long body in either direction, beside nginx that passes it on to the same upstream.

use std::{
    env,
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use devstack_idp::Person;

use super::{
    Result, idp, nginx,
    process::{OTHER_CORE, Server, free_port},
    say,
    start::{Bff, Setup},
    table::{Gate, Samples, check},
    upstream::PIECE,
};

/// So much more may it cost than with nginx.
const MOST: f64 = 1.15;

/// A server and a direction.
struct Case<'a> {
    name: &'static str,
    server: &'a Server,
    /// Further fields of its requests.
    fields: &'a [String],
    upload: bool,
    seconds: Samples,
    cpu: Samples,
}

/// Moves bodies of `length` bytes, and prints what they cost; an error if a gate fails.
pub(super) async fn run(length: u64, rounds: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let provider = idp::start().await?;
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    command.arg("upstream").arg(port.to_string());
    let upstream = Server::start(command, OTHER_CORE, port).await?;
    let streaming = nginx::streaming_proxy(folder.path(), port).await?;
    let buffering = nginx::buffering_proxy(folder.path(), port).await?;
    let routes = format!(
        "services: {{ api: {{ base_url: \"http://127.0.0.1:{}\", max_body: {length} }} }}\n\
         routes:\n- {{ id: api, path: '/api/*', target_service: api, auth: session }}\n",
        upstream.port()
    );
    let bff = Bff::start_with(Setup::USUAL, &folder.path().join("bff"), &provider, &routes, &[]).await?;
    let cookie = bff.log_in(&Person::new("ada", "ada")?).await?;
    let token = bff.csrf_token(&cookie).await?;
    let session = [format!("Cookie: {cookie}"), format!("X-CSRF-Token: {token}")];
    let case = |name, server, fields, upload| Case {
        name,
        server,
        fields,
        upload,
        seconds: Samples::default(),
        cpu: Samples::default(),
    };
    let mut cases = [
        case("download, nginx with buffers", &buffering, &[][..], false),
        case("download, nginx without buffers", &streaming, &[][..], false),
        case("download, bff", &bff.server, &session[..], false),
        case("upload, nginx with files", &buffering, &[][..], true),
        case("upload, nginx without files", &streaming, &[][..], true),
        case("upload, bff", &bff.server, &session[..], true),
    ];
    for round in 1..=rounds {
        for case in &mut cases {
            let (seconds, cpu) = case.measure(length)?;
            case.seconds.push(seconds);
            case.cpu.push(cpu);
            say(&format!(
                "round {round}/{rounds}: {}: {seconds:.2} s, {cpu:.2} s of CPU",
                case.name
            ));
        }
    }
    say(&format!(
        "\n| {} MiB | s (median) | smallest | largest | CPU s (median) | smallest | largest |",
        length >> 20
    ));
    say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for case in &cases {
        let ((least, most), (least_cpu, most_cpu)) = (case.seconds.spread(), case.cpu.spread());
        say(&format!(
            "| {} | {:.2} | {least:.2} | {most:.2} | {:.2} | {least_cpu:.2} | {most_cpu:.2} |",
            case.name,
            case.seconds.median(),
            case.cpu.median(),
        ));
    }
    let [down_buffered, down, our_down, _, up, our_up] = &cases;
    // Its better way for each.
    let gates = [
        Gate::new(
            "time of a download / nginx",
            our_down.seconds.median() / least(&down_buffered.seconds, &down.seconds),
            MOST,
        ),
        Gate::new(
            "CPU of a download / nginx",
            our_down.cpu.median() / least(&down_buffered.cpu, &down.cpu),
            MOST,
        ),
        Gate::new(
            "time of an upload / nginx",
            our_up.seconds.median() / up.seconds.median(),
            MOST,
        ),
        Gate::new(
            "CPU of an upload / nginx",
            our_up.cpu.median() / up.cpu.median(),
            MOST,
        ),
    ];
    check(&gates)
}

fn least(one: &Samples, other: &Samples) -> f64 {
    one.median().min(other.median())
}

// === impl Case ===

impl Case<'_> {
    /// The seconds until all has arrived, and those of CPU.
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement in real time, finer than the clock of the server"
    )]
    fn measure(&self, length: u64) -> Result<(f64, f64)> {
        let mut command = Command::new("taskset");
        command
            .args(["--cpu-list", &OTHER_CORE.to_string()])
            .arg(env::current_exe()?)
            .arg("body")
            .arg(self.server.port().to_string())
            .arg(length.to_string());
        if self.upload {
            command.arg("--upload");
        }
        for field in self.fields {
            command.args(["--field", field]);
        }
        let before = self.server.cpu()?;
        let started = Instant::now();
        let status = command.status()?;
        let took = started.elapsed();
        if !status.success() {
            return Err(format!("{}: the body did not arrive", self.name).into());
        }
        let used = self.server.cpu()?.saturating_sub(before);
        Ok((took.as_secs_f64(), used.as_secs_f64()))
    }
}

/// Takes a body of `length` bytes from the server on `port`, or sends one to it.
pub(super) fn body(port: u16, length: u64, upload: bool, fields: &[String]) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let fields = fields
        .iter()
        .fold(String::new(), |all, field| all + field + "\r\n");
    let request = if upload {
        format!("POST /api/upload HTTP/1.1\r\nContent-Length: {length}\r\n")
    } else {
        format!("GET /api/bytes/{length} HTTP/1.1\r\n")
    };
    // The check of a state change wants to know the page.
    let origin = format!("Origin: http://127.0.0.1:{port}\r\n");
    let request = format!("{request}Host: 127.0.0.1:{port}\r\n{origin}{fields}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut piece = vec![0; PIECE];
    if upload {
        let mut left = length;
        while left > 0 {
            let now = usize::try_from(left)?.min(piece.len());
            if stream.write_all(&piece[..now]).is_err() {
                // The answer says why.
                break;
            }
            left -= now as u64;
        }
    }
    // The head arrives at once.
    let first = stream.read(&mut piece)?;
    let first = &piece[..first];
    if !first.starts_with(b"HTTP/1.1 200 ") {
        return Err(String::from_utf8_lossy(first).into());
    }
    let end = first
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .ok_or("the head is not complete")?;
    let mut got = (first.len() - end - 4) as u64;
    loop {
        match stream.read(&mut piece)? {
            0 => break,
            length => got += length as u64,
        }
    }
    if got == if upload { 0 } else { length } {
        Ok(())
    } else {
        Err(format!("{got} bytes arrived").into())
    }
}
