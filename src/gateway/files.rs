//! Static files: a service that is a folder.
//!
//! [`Folder::find`] opens the file that a path names ([`open`]), never one outside the folder, and chooses one of its
//! encoded copies ([`encoding`]). [`conditions`] decide what of it is sent, and [`body`] sends it in pieces. All of
//! that reads the disk on blocking threads. The folder is checked whenever another one stands in its place
//! ([`private`]).

mod answer;
mod body;
mod conditions;
mod encoding;
mod kinds;
mod open;
mod private;

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::{
    body::{FileBody, on_a_thread},
    conditions::{Verdict, judge},
    encoding::Encoding,
    open::Root,
};
use crate::{
    access::{Need, Refused},
    told::Told,
};

pub(super) use self::private::FolderError;
pub use self::{
    answer::{FileError, FileRequest},
    private::Private,
};

/// The file that answers for a folder.
const INDEX: &str = "index.html";

/// A shorter file is read at once, and its entity tag is a hash of its bytes; a longer one is sent in pieces.
const SMALL: u64 = 128 * 1024;

/// Build systems give files a fixed date of long ago, which says nothing about them.
const OLDEST_DATE: Duration = Duration::from_hours(24 * 366 * 11);

/// So many threads read the files of a folder at the same time.
const MAX_THREADS: usize = 32;

/// So many files are named in warnings.
const MAX_TOLD: usize = 8;

/// A folder whose files are served.
#[derive(Debug)]
pub struct Folder {
    /// As the operator named it, from the working folder on.
    path: PathBuf,
    /// The file that answers for pages without a file of their own, below the folder.
    fallback: Option<String>,
    private: Private,
    /// The device and number of the folder that was checked last.
    checked: Mutex<Option<(u64, u64)>>,
    /// Bounds the reads at the same time.
    threads: Arc<Semaphore>,
    told: Told,
}

/// The wishes of a request.
#[derive(Clone, Debug)]
struct Wishes {
    /// The path below the folder, in normal form.
    path: String,
    /// Whether a folder without a slash at its end is answered with a redirect to the one with it.
    redirects: bool,
    /// Whether a person opens a page, so that the fallback may answer.
    is_page: bool,
    /// Whether the first segment may be `.well-known`.
    well_known: bool,
}

/// The thing at a path.
#[derive(Debug)]
enum Found {
    File(Box<Content>),
    /// A folder; its path needs a slash at its end, so that links in its page work.
    NeedsSlash,
    Nothing,
}

/// A file that can be sent.
#[derive(Debug)]
struct Content {
    file: File,
    /// All of it, if it is small.
    small: Option<Bytes>,
    length: u64,
    /// Its strong entity tag (RFC 9110 section 8.8.3), in quotes.
    tag: String,
    /// Its date, in seconds since 1970 and as such.
    modified: Option<(u64, SystemTime)>,
    kind: &'static str,
    encoding: Option<Encoding>,
    /// Whether it has encoded copies, so that the answer depends on `Accept-Encoding`.
    varies: bool,
    is_fallback: bool,
}

// === impl Folder ===

impl Folder {
    /// The folder at `path`, whose `fallback` answers for pages without a file: the named one, which has to be there,
    /// or `index.html` if that is there.
    ///
    /// # Errors
    ///
    /// [`FolderError`]: it cannot be used, or holds what nobody may see.
    pub fn open(path: PathBuf, fallback: Fallback<'_>, private: &Private) -> Result<Self, FolderError> {
        let mut folder = Self {
            path,
            fallback: None,
            private: private.clone(),
            checked: Mutex::new(None),
            threads: Arc::new(Semaphore::new(MAX_THREADS)),
            told: Told::at_most(MAX_TOLD),
        };
        let root = folder.root()?;
        let (name, is_named) = match fallback {
            Fallback::Nothing => return Ok(folder),
            Fallback::Index => (INDEX, false),
            Fallback::File(name) => (name, true),
        };
        let found = names(&format!("/{name}"), false)
            .ok_or(io::ErrorKind::InvalidFilename.into())
            .and_then(|names| root.find(&names))
            .and_then(|file| file.metadata());
        match found {
            Ok(metadata) if metadata.is_file() => folder.fallback = Some(format!("/{name}")),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Refused::of(&folder.path.join(name), Need::Read, &error).into());
            }
            Ok(_) | Err(_) if is_named => return Err(FolderError::NoFallback),
            Ok(_) | Err(_) => {}
        }
        Ok(folder)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether `file` is below it.
    pub(super) fn holds(&self, file: &Path) -> bool {
        private::real(file).starts_with(private::real(&self.path))
    }

    /// The file that `path` names, whether it exists or not, for messages. `None` if no file is served at this path.
    #[must_use]
    pub fn file_of(&self, path: &str, well_known: bool) -> Option<PathBuf> {
        let names = names(path, well_known)?;
        let file = names.iter().fold(self.path.clone(), |path, name| path.join(name));
        Some(if path.ends_with('/') {
            file.join(INDEX)
        } else {
            file
        })
    }

    /// The content for a request with these wishes and header fields. Blocks.
    fn find(&self, wishes: &Wishes, headers: &HeaderMap) -> io::Result<Found> {
        let Some(mut names) = names(&wishes.path, wishes.well_known) else {
            return Ok(Found::Nothing);
        };
        let root = self.root().map_err(io::Error::other)?;
        let mut found = if wishes.path.ends_with('/') {
            Found::NeedsSlash
        } else {
            self.content(&root, &names, headers)?
        };
        if matches!(found, Found::NeedsSlash) {
            names.push(INDEX.to_owned());
            found = match self.content(&root, &names, headers)? {
                // Only a folder with a page has an address.
                Found::File(_) if wishes.redirects => return Ok(Found::NeedsSlash),
                // A folder that is called like a page has none itself.
                Found::NeedsSlash => Found::Nothing,
                found => found,
            };
        }
        let last = wishes.path.rsplit('/').next().unwrap_or_default();
        if matches!(found, Found::Nothing)
            && wishes.is_page
            && !kinds::is_part_of_a_page(last)
            && let Some(fallback) = &self.fallback
            && let Some(names) = self::names(fallback, false)
        {
            found = match self.content(&root, &names, headers)? {
                Found::File(mut content) => {
                    content.is_fallback = true;
                    Found::File(content)
                }
                Found::NeedsSlash | Found::Nothing => Found::Nothing,
            };
        }
        Ok(found)
    }

    fn content(&self, root: &Root, names: &[String], headers: &HeaderMap) -> io::Result<Found> {
        let (file, metadata) = match self.regular(root, names)? {
            Some((_, metadata)) if metadata.is_dir() => return Ok(Found::NeedsSlash),
            Some(found) => found,
            None => return Ok(Found::Nothing),
        };
        let Some((last, before)) = names.split_last() else {
            return Ok(Found::Nothing);
        };
        let mut copies = Vec::new();
        for encoding in Encoding::ALL {
            let mut names = before.to_vec();
            names.push(format!("{last}.{}", encoding.extension()));
            if let Some((file, metadata)) = self.regular(root, &names)?
                && metadata.is_file()
            {
                copies.push((encoding, file, metadata));
            }
        }
        let there: Vec<Encoding> = copies.iter().map(|(encoding, ..)| *encoding).collect();
        let chosen = encoding::choose(headers, &there);
        let varies = !copies.is_empty();
        let copy = copies
            .into_iter()
            .find(|(encoding, ..)| Some(*encoding) == chosen);
        let (file, metadata) = copy.map_or((file, metadata), |(_, file, metadata)| (file, metadata));
        let small = small(&file, &metadata)?;
        Ok(Found::File(Box::new(Content {
            length: small.as_ref().map_or(metadata.len(), |bytes| bytes.len() as u64),
            tag: tag(small.as_deref(), &metadata),
            modified: modified(&metadata),
            kind: kinds::of(last),
            encoding: chosen,
            varies,
            is_fallback: false,
            file,
            small,
        })))
    }

    /// The file or folder with these names; `None` if it is neither, or if it may not be read.
    fn regular(&self, root: &Root, names: &[String]) -> io::Result<Option<(File, Metadata)>> {
        let found = root.find(names).and_then(|file| {
            let metadata = file.metadata()?;
            Ok((file, metadata))
        });
        match found {
            Ok((file, metadata)) if metadata.is_file() || metadata.is_dir() => Ok(Some((file, metadata))),
            Ok(_) => Ok(None),
            Err(error) if open::leads_out(&error) => {
                self.tell(names, "is a link that leads out of the folder");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.tell(names, "may not be read by the user that runs this server");
                Ok(None)
            }
            Err(error) if open::is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn tell(&self, names: &[String], why: &'static str) {
        let file = names.iter().fold(self.path.clone(), |path, name| path.join(name));
        let file = file.display();
        if self.told.first(&file) {
            tracing::warn!(%file, "a file was not served: it {why}");
        }
    }

    /// The folder as it is now. A deployment may put another one in its place at any time.
    fn root(&self) -> Result<Root, FolderError> {
        let root = Root::open(&self.path)?;
        let identity = root.identity()?;
        if *self.checked.lock() != Some(identity) {
            self.private.check(&self.path)?;
            *self.checked.lock() = Some(identity);
        }
        Ok(root)
    }
}

/// The file that answers for pages without a file of their own.
#[derive(Clone, Copy, Debug)]
pub enum Fallback<'a> {
    /// `index.html`, if it is there.
    Index,
    /// This one.
    File(&'a str),
    /// None.
    Nothing,
}

/// The names of the segments of a path in normal form, decoded once. `None` if one of them is no name of a file that is
/// served: a hidden one, or one that could lead elsewhere.
fn names(path: &str, well_known: bool) -> Option<Vec<String>> {
    let path = path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Vec::new());
    }
    path.split('/')
        .enumerate()
        .map(|(at, segment)| {
            let name = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
            let is_hidden = name.starts_with('.') && !(at == 0 && well_known && name == ".well-known");
            let is_name = !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'/' | b'\\' | 0));
            (is_name && !is_hidden).then(|| name.into_owned())
        })
        .collect()
}

/// All bytes of a short file. One that grows meanwhile is cut off at the length that a longer one may not have.
fn small(file: &File, metadata: &Metadata) -> io::Result<Option<Bytes>> {
    if metadata.len() > SMALL {
        return Ok(None);
    }
    // `SMALL` fits.
    let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or_default()];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(Some(bytes.into()))
}

/// A tag that changes with the bytes. That of a long file is of its identity and of the times at which its content and its
/// attributes changed, the latter of which nobody can set.
fn tag(small: Option<&[u8]>, metadata: &Metadata) -> String {
    let hash = if let Some(bytes) = small {
        digest(&SHA256, bytes)
    } else {
        let identity = format!(
            "{} {} {} {}.{} {}.{}",
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        );
        digest(&SHA256, identity.as_bytes())
    };
    let bytes = hash.as_ref().iter().take(16);
    bytes.fold("\"".to_owned(), |text, byte| format!("{text}{byte:02x}")) + "\""
}

/// In whole seconds, as HTTP dates have them; `None` if it says nothing.
fn modified(metadata: &Metadata) -> Option<(u64, SystemTime)> {
    let seconds = u64::try_from(metadata.mtime()).ok()?;
    let since = Duration::from_secs(seconds);
    let date = SystemTime::UNIX_EPOCH.checked_add(since)?;
    (since > OLDEST_DATE).then_some((seconds, date))
}

#[cfg(test)]
mod tests;
