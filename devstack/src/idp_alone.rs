//! `devstack idp`: the development IdP on a folder of configuration files.

use std::{error::Error, fs, net::SocketAddr, path::Path};

use devstack_idp::{Idp, Options};
use tokio::net::TcpListener;

use super::say;

/// Serves until the process is stopped.
///
/// # Errors
///
/// Where the IdP cannot start; the text says why.
pub async fn run(
    config_dir: &Path,
    listen: SocketAddr,
    issuer: String,
    admin_token: String,
) -> Result<(), Box<dyn Error>> {
    put_samples(config_dir)?;
    let idp = Idp::new(Options::from_config_dir(config_dir, issuer.clone(), admin_token)?)?;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        format!("cannot listen on {listen}: {error}; choose another address with --listen or IDP_LISTEN")
    })?;
    say(&format!(
        "development IdP: issuer {issuer}, listening on {}, configuration in {}",
        listener.local_addr()?,
        config_dir.display()
    ));
    devstack_idp::serve(listener, idp, stopped()).await?;
    Ok(())
}

/// Puts the sample files where there are none yet.
pub(crate) fn put_samples(config_dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(config_dir)?;
    let samples = [
        ("dcr_config.yaml", Options::sample_dcr_config()),
        ("users.yaml", Options::sample_users()),
    ];
    for (name, content) in samples {
        let path = config_dir.join(name);
        if !path.exists() {
            fs::write(path, content)?;
        }
    }
    Ok(())
}

/// Resolves when the process is asked to stop.
pub(crate) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
