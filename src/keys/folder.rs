//! The content of the keys folder: the changed files, and the keys that have worked.
//!
//! A file is read again only if its name leads to another file than before, also through links (Kubernetes swaps
//! mounted secrets in this way). A key that was read stays in memory, even if its file goes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Options,
    document::Published,
    keyring::{Entry, KeyName, Keyring, Seen, State},
    pem::{KeyProblem, UnusableKey, read_guarded},
};
use crate::{
    diagnostic::Explained,
    jose::{Algorithm, SigningKey},
    private_file::{Exposed, Guard},
};

/// The target of a path, as far as it is known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The keys folder, and the memory of it.
#[derive(Debug)]
pub(super) struct Folder {
    options: Options,
    files: BTreeMap<PathBuf, Known>,
    at_hand: BTreeMap<String, Arc<SigningKey>>,
    /// The key in the named file, as it was read last.
    named: Option<Arc<SigningKey>>,
    extras: BTreeMap<PathBuf, Arc<SigningKey>>,
    /// The files of entries that lie in the keys folder of before, by key id.
    elsewhere: BTreeMap<String, PathBuf>,
}

/// A file as it was read last. The key is called by its thumbprint.
#[derive(Debug)]
struct Known {
    print: Option<Print>,
    outcome: Result<Arc<SigningKey>, UnusableKey>,
}

/// Needed files that are unusable, with the message about each.
pub(super) type Troubles = BTreeMap<PathBuf, Explained>;

// === impl Print ===

impl Print {
    /// The facts about the target of `path`; `None` if it does not exist.
    pub(super) fn of(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self::from(&metadata))
    }
}

impl From<&Metadata> for Print {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

// === impl Folder ===

impl Folder {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options: Options {
                signing_key: absolute(options.signing_key),
                dir: absolute(options.dir),
                ..options
            },
            files: BTreeMap::new(),
            at_hand: BTreeMap::new(),
            named: None,
            extras: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
        }
    }

    pub(super) const fn options(&self) -> &Options {
        &self.options
    }

    /// The path of an entry's file.
    pub(super) fn path_of(&self, entry: &Entry) -> PathBuf {
        let elsewhere = self.elsewhere.get(&entry.kid);
        elsewhere
            .cloned()
            .unwrap_or_else(|| self.options.dir.join(&entry.file))
    }

    /// The same keyring, as a process with this keys folder writes it.
    pub(super) fn anchored(&self, ring: &Keyring) -> Keyring {
        let mut ring = ring.clone();
        if let Some(former) = self.former(&ring) {
            for key in &mut ring.keys {
                // A file that is missing everywhere was in the former folder.
                if let Some(path) = self.elsewhere.get(&key.kid) {
                    key.file = self.name_of(path);
                } else if Print::of(&self.options.dir.join(&key.file)).is_none() {
                    key.file = former.join(&key.file);
                }
            }
        }
        let dir = &self.options.dir;
        // JSON cannot represent every path. The files are then relative to an unknown folder.
        ring.keys_dir = dir.to_str().map(|_| dir.clone());
        ring
    }

    /// The keys folder of the process that wrote the keyring, if that is another one.
    fn former(&self, ring: &Keyring) -> Option<PathBuf> {
        ring.keys_dir
            .clone()
            .filter(|dir| dir.is_absolute() && *dir != self.options.dir)
    }

    /// The keyring's notation of `path`: relative to the keys folder if it lies in there.
    pub(super) fn name_of(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.options.dir).unwrap_or(path).to_owned()
    }

    /// The key of an entry, if it is in memory.
    pub(super) fn key(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.at_hand.get(kid)
    }

    /// The key of an entry, also of a retired one, whose file is not read otherwise.
    pub(super) fn key_of(&self, entry: &Entry) -> Option<Arc<SigningKey>> {
        if let Some(key) = self.key(&entry.kid) {
            return Some(Arc::clone(key));
        }
        let key = fresh(&self.path_of(entry), self.options.guard).ok()?;
        (key.kid() == entry.thumbprint()).then(|| Arc::new(key.called(&entry.kid)))
    }

    /// The key in the named file under this id, although the keyring does not know it yet.
    pub(super) fn named(&self, kid: &str) -> Option<&Arc<SigningKey>> {
        self.named.as_ref().filter(|named| named.kid() == kid)
    }

    /// The public halves of the extra keys.
    pub(super) fn extras(&self, algorithm: Option<Algorithm>) -> Vec<Published> {
        let keys = self.extras.values();
        keys.filter_map(|key| Published::new(key, algorithm).ok())
            .collect()
    }

    /// Checks every relevant file and reads the changed ones.
    pub(super) fn look(&mut self, ring: &Keyring) -> (Seen, Troubles) {
        let mut seen = Seen::default();
        let mut troubles = Troubles::new();
        let named = self.options.signing_key.clone();
        let mut paths = BTreeSet::from([named.clone()]);
        match self.read(&named) {
            Ok(key) => {
                let kid = ring.kid_for(self.options.kid.as_deref(), key.kid());
                self.named = Some(Arc::new(key.called(&kid)));
                seen.named = Some(KeyName {
                    file: self.name_of(&named),
                    kid,
                    thumbprint: key.kid().to_owned(),
                });
            }
            Err(trouble) => {
                let trouble = self.explained(ring, &named, trouble);
                troubles.insert(named, trouble);
            }
        }
        let former = self.former(ring);
        self.elsewhere.clear();
        for entry in &ring.keys {
            if let Some(former) = &former {
                paths.extend(self.find(entry, former));
            }
            let path = self.path_of(entry);
            if entry.state == State::Retired {
                if Print::of(&path).is_none() {
                    seen.gone.insert(entry.kid.clone());
                }
                continue;
            }
            self.look_at(entry, &path, &mut seen, &mut troubles);
            paths.insert(path);
        }
        for path in self.options.extra.clone() {
            match self.read(&path) {
                Ok(key) => {
                    self.extras.insert(path.clone(), key);
                }
                Err(trouble) => {
                    let stays = self.extras.contains_key(&path);
                    let trouble = trouble.saying(|what| {
                        if stays {
                            format!("{what} (what it held before stays published)")
                        } else {
                            format!("not published: {what}")
                        }
                    });
                    troubles.insert(path.clone(), trouble);
                }
            }
            paths.insert(path);
        }
        self.files.retain(|path, _| paths.contains(path));
        self.at_hand
            .retain(|kid, _| ring.published().any(|entry| entry.kid == *kid));
        (seen, troubles)
    }

    /// Searches the former keys folder for the key of `entry`, if it is not in this one. Returns the key.
    fn find(&mut self, entry: &Entry, former: &Path) -> Option<PathBuf> {
        let here = self.options.dir.join(&entry.file);
        let there = former.join(&entry.file);
        let is_it = |key: Arc<SigningKey>| key.kid() == entry.thumbprint();
        if here == there || self.read(&here).is_ok_and(is_it) {
            return None;
        }
        if self.read(&there).is_ok_and(is_it) {
            self.elsewhere.insert(entry.kid.clone(), there.clone());
        }
        Some(there)
    }

    fn look_at(&mut self, entry: &Entry, path: &Path, seen: &mut Seen, troubles: &mut Troubles) {
        let kid = &entry.kid;
        let (gone, trouble) = match self.read(path) {
            Ok(key) if key.kid() == entry.thumbprint() => {
                self.at_hand
                    .entry(kid.clone())
                    .or_insert_with(|| Arc::new(key.called(kid)));
                (false, None)
            }
            // The file has another key or is gone: the former key does not come back by itself.
            Ok(_) => (true, None),
            Err(trouble) => (Print::of(path).is_none(), Some(trouble)),
        };
        if self.at_hand.contains_key(kid) {
            seen.usable.insert(kid.clone());
        } else if gone {
            seen.gone.insert(kid.clone());
        }
        let trouble = match trouble {
            Some(trouble) if self.at_hand.contains_key(kid) => {
                trouble.saying(|what| format!("{what} (what it held before goes on working)"))
            }
            // The keeper reports the consequences of a lost key; the file itself cannot be repaired.
            Some(trouble) if !gone => trouble.saying(|what| format!("not published: {what}")),
            _ => return,
        };
        troubles.insert(path.to_owned(), trouble);
    }

    /// The key in the file `path`, called by its thumbprint.
    fn read(&mut self, path: &Path) -> Result<Arc<SigningKey>, Explained> {
        // Before reading the file: a change during the read is read at the next look.
        let print = Print::of(path);
        let guard = self.options.guard;
        let known = self.files.entry(path.to_owned()).or_insert_with(|| Known {
            print,
            outcome: fresh(path, guard),
        });
        if known.print != print || is_unreadable(&known.outcome) {
            known.print = print;
            known.outcome = fresh(path, guard);
        }
        match &known.outcome {
            Ok(key) => Ok(Arc::clone(key)),
            Err(error) => Err(Explained::of(error)),
        }
    }

    /// The trouble with the named file, while the keyring knows what to do.
    fn explained(&self, ring: &Keyring, named: &Path, trouble: Explained) -> Explained {
        match ring.active() {
            Some(active) if self.path_of(active) != named => {
                trouble.saying(|what| format!("{what} (the key {} of keyring.json signs)", active.kid))
            }
            _ => trouble,
        }
    }
}

/// The same path, independent of the working folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn fresh(path: &Path, guard: Guard) -> Result<Arc<SigningKey>, UnusableKey> {
    let pair = read_guarded(path, guard)?;
    let key = SigningKey::new(pair, None).map_err(|_| UnusableKey {
        path: path.to_owned(),
        problem: KeyProblem::UnsupportedType("none that the library can publish".to_owned()),
    })?;
    Ok(Arc::new(key))
}

/// A permission on a folder above can change without a trace at the file.
const fn is_unreadable(outcome: &Result<Arc<SigningKey>, UnusableKey>) -> bool {
    matches!(
        outcome,
        Err(UnusableKey {
            problem: KeyProblem::Unreadable(_)
                | KeyProblem::Exposed(Exposed::Folder { .. } | Exposed::ForeignFolder { .. }),
            ..
        })
    )
}
