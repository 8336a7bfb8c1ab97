//! nginx as the well-known reference: answering 204, proxying without authentication, and as the upstream.

use std::{fs, path::Path, process::Command};

use super::{
    Result,
    process::{MEASURED_CORE, OTHER_CORE, Server, free_port},
};

/// Length of the upstream's answer.
const ANSWER_LENGTH: usize = 1024;

/// The upstream of every proxy: a kilobyte, on the other core.
pub(super) async fn upstream(folder: &Path) -> Result<Server> {
    let body = "x".repeat(ANSWER_LENGTH);
    start(
        folder,
        "upstream",
        OTHER_CORE,
        &format!("location / {{ default_type text/plain; return 200 '{body}'; }}"),
        "",
    )
    .await
}

/// Answers 204.
pub(super) async fn empty(folder: &Path) -> Result<Server> {
    start(folder, "empty", MEASURED_CORE, "location / { return 204; }", "").await
}

/// Proxies to `upstream` with kept-alive connections.
pub(super) async fn proxy(folder: &Path, upstream: u16) -> Result<Server> {
    let location = "location / { proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection \"\"; }";
    let pool = format!(
        "upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000; }}"
    );
    start(folder, "proxy", MEASURED_CORE, location, &pool).await
}

/// Proxies bodies as they come.
pub(super) async fn streaming_proxy(folder: &Path, upstream: u16) -> Result<Server> {
    let location = "client_max_body_size 0; location / { proxy_pass http://upstream; proxy_http_version 1.1; \
                    proxy_set_header Connection \"\"; proxy_buffering off; proxy_request_buffering off; }";
    let pool = format!("upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 128; }}");
    start(folder, "streaming", MEASURED_CORE, location, &pool).await
}

/// Proxies bodies as it does by default: through buffers, and through files if they are long.
pub(super) async fn buffering_proxy(folder: &Path, upstream: u16) -> Result<Server> {
    let location = "client_max_body_size 0; location / { proxy_pass http://upstream; proxy_http_version 1.1; \
                    proxy_set_header Connection \"\"; }";
    let pool = format!("upstream upstream {{ server 127.0.0.1:{upstream}; keepalive 128; }}");
    start(folder, "buffering", MEASURED_CORE, location, &pool).await
}

async fn start(folder: &Path, name: &str, core: usize, location: &str, pool: &str) -> Result<Server> {
    let port = free_port()?;
    let folder = folder.join(format!("nginx-{name}"));
    fs::create_dir_all(&folder)?;
    let path = folder.join("nginx.conf");
    let temporary = folder.display();
    fs::write(
        &path,
        format!(
            "daemon off; worker_processes 1; pid {temporary}/pid; error_log {temporary}/error.log crit;
            events {{ worker_connections 1024; }}
            http {{
              access_log off; keepalive_requests 10000000;
              client_body_temp_path {temporary}/body; proxy_temp_path {temporary}/proxy;
              fastcgi_temp_path {temporary}/fastcgi; uwsgi_temp_path {temporary}/uwsgi; scgi_temp_path {temporary}/scgi;
              {pool}
              server {{ listen 127.0.0.1:{port}; {location} }}
            }}"
        ),
    )?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&path).arg("-p").arg(&folder);
    Server::start(command, core, port).await
}
