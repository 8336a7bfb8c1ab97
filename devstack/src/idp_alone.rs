//! `devstack idp`: the development IdP on a folder of configuration files.

use std::{error::Error, fs, io, net::SocketAddr, path::Path};

use devstack_idp::{Idp, Options};
use tokio::net::TcpListener;

use super::say;

/// Serves until the process is stopped.
///
/// # Errors
///
/// If the IdP cannot start; the text says why.
pub async fn run(
    config_dir: &Path,
    listen: SocketAddr,
    issuer: String,
    admin_token: String,
) -> Result<(), Box<dyn Error>> {
    put_samples(config_dir)?;
    let mut options = Options::from_config_dir(config_dir, issuer.clone(), admin_token)?;
    // In the folder itself: in a container it is the only writable and persistent one.
    options.state_file = Some(config_dir.join("state.json"));
    let idp = Idp::new(options)?;
    let listener = bind(listen).await?;
    say(&format!(
        "development IdP: issuer {issuer}, listening on {}, configuration in {}",
        listener.local_addr()?,
        config_dir.display()
    ));
    devstack_idp::serve(listener, idp, stopped()).await?;
    Ok(())
}

/// Listens at `address`; an error names it.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let fix = if error.kind() == io::ErrorKind::AddrInUse {
            "; another process listens there: end it, or name another address with --listen"
        } else {
            ""
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{fix}"))
    })
}

/// Writes missing sample files.
pub(crate) fn put_samples(config_dir: &Path) -> io::Result<()> {
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

/// Resolves when the process is told to stop.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_taken_is_named_with_what_to_do() {
        let taken = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(address).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("cannot listen on {address}")) && error.contains("--listen"),
            "{error}"
        );
    }
}
