//! The Unix socket: no other user can reach it, and a socket of another living process is never replaced.

use std::{
    fs, io,
    os::unix::{fs::FileTypeExt as _, fs::PermissionsExt as _, net::UnixStream as Knock},
    path::{Path, PathBuf},
};

use crate::diagnostic::{Explain, Fix, Knob, fix};
use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};

/// The maximum length of a socket's name, in bytes: less than its field in `sockaddr_un`, which ends with a zero.
const LONGEST_NAME: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The name that a socket has at first is longer than its path by a point and a process id.
const LONGEST_PATH: usize = LONGEST_NAME - ".4194304".len();

/// A socket that listens. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A process listens there.
    #[error("{}: another process listens there", .0.display())]
    InUse(PathBuf),
    /// Something else is there, which is not removed.
    #[error("{}: there is a file or a folder that is no socket", .0.display())]
    NotASocket(PathBuf),
    /// The folder does not exist.
    #[error("{}: the folder does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The system takes no such path.
    #[error(
        "{}: the path has {} bytes, and the system takes {LONGEST_PATH} at most, with room for a temporary name beside it",
        .0.display(),
        .0.as_os_str().len()
    )]
    TooLong(PathBuf),
    /// The system refused.
    #[error("{}: {cause}", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

// === impl SocketError ===

impl Explain for SocketError {
    fn fix(&self) -> Option<Fix> {
        Some(match self {
            Self::InUse(_) => fix!(
                "give each server on this machine a path of its own in {}",
                Knob::AdminSocket
            ),
            Self::NotASocket(_) => fix!("remove it, or set another path in {}", Knob::AdminSocket),
            Self::NoFolder(_) => fix!(
                "make it, with mode 0700 for the user that runs bff, or set a path in another one in {}",
                Knob::AdminSocket
            ),
            Self::TooLong(_) => fix!("set a shorter one in {}", Knob::AdminSocket),
            Self::System { .. } => fix!(
                "let {} be a path in a folder that the user that runs bff can write to",
                Knob::AdminSocket
            ),
        })
    }
}

// === impl Socket ===

impl Socket {
    /// Listens at `path`, with mode 0600. Replaces a socket without a listener.
    ///
    /// # Errors
    ///
    /// [`SocketError`], with the fix.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        Self::look_at(path)?;
        let failed = |cause| SocketError::System {
            path: path.to_owned(),
            cause,
        };
        // Under another name until no other user may connect.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside).map_err(failed)?;
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&beside, path))
            .map_err(|cause| {
                let _ = fs::remove_file(&beside);
                failed(cause)
            })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Whether a socket can be made at `path`, possibly replacing an abandoned one. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`SocketError`], with the fix; [`SocketError::InUse`] if a server listens there already.
    pub fn look_at(path: &Path) -> Result<(), SocketError> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(SocketError::TooLong(path.to_owned()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            return Err(SocketError::NoFolder(folder.to_owned()));
        }
        let failed = |cause| SocketError::System {
            path: path.to_owned(),
            cause,
        };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NotASocket(path.to_owned()));
            }
            Ok(_) => {}
        }
        match Knock::connect(path) {
            Ok(_) => Err(SocketError::InUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }
}

// === impl SocketError ===

impl SocketError {
    /// Whether the socket is missing for nothing but a file system that is mounted read-only.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::System { cause, .. } if cause.kind() == io::ErrorKind::ReadOnlyFilesystem)
    }
}

impl axum::serve::Listener for Socket {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
            // The mode of the file already ensures this, on every system that respects it.
            match stream.peer_cred() {
                Ok(peer) if is_operator(peer.uid()) => return (stream, address),
                Ok(peer) => tracing::warn!(
                    user = peer.uid(),
                    "a connection to the admin socket was refused: only the user of the server and root may"
                ),
                Err(error) => tracing::warn!(%error, "a connection to the admin socket was refused"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that stays is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_operator(user: u32) -> bool {
    user == 0 || user == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_for_its_user_alone_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let socket = Socket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(matches!(Socket::bind(&path), Err(SocketError::InUse(_))));
        drop(socket);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_dead_process_left_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Socket::bind(&path).unwrap());

        fs::write(&path, "mine").unwrap();
        assert!(matches!(Socket::bind(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let nowhere = folder.path().join("none/admin.sock");
        let error = Socket::bind(&nowhere).unwrap_err();
        assert!(matches!(error, SocketError::NoFolder(_)));
        assert!(error.told().contains("[AdminSocket]"), "{error}");
    }

    #[test]
    fn a_path_that_is_too_long_is_told_with_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let length = LONGEST_PATH - folder.path().as_os_str().len() - 1;
        Socket::look_at(&folder.path().join("x".repeat(length))).unwrap();
        let error = Socket::look_at(&folder.path().join("x".repeat(length + 1))).unwrap_err();
        assert!(matches!(error, SocketError::TooLong(_)));
        let text = error.told();
        for part in [
            "[AdminSocket]",
            &format!("{LONGEST_PATH} at most"),
            "temporary name",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn root_and_the_own_user_are_operators() {
        let own = rustix::process::geteuid().as_raw();
        assert!(is_operator(0) && is_operator(own));
        assert!(!is_operator(own + 1));
    }
}
