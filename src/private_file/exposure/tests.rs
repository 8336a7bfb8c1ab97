use std::fs::{self, Permissions};

use super::*;
use crate::private_file::testing::on_disk;

fn with_mode(folder: &Path, mode: u32) -> File {
    let path = folder.join(format!("{mode:o}"));
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    File::open(path).unwrap()
}

#[test]
fn attack_50_a_file_that_others_can_use_is_refused() {
    let folder = on_disk();
    for mode in [0o600, 0o400, 0o700, 0o711] {
        assert_eq!(
            Guard::Strict.file(&with_mode(folder.path(), mode)),
            Ok(None),
            "{mode:o}"
        );
    }
    for mode in [0o640, 0o604, 0o444, 0o755] {
        let exposed = Exposed::Readable { mode };
        let file = with_mode(folder.path(), mode);
        assert_eq!(Guard::Strict.file(&file), Err(exposed), "{mode:o}");
        assert_eq!(Guard::Off.file(&file), Ok(Some(exposed)));
    }
    for mode in [0o620, 0o602, 0o666, 0o777] {
        let exposed = Exposed::Writable { mode };
        let file = with_mode(folder.path(), mode);
        assert_eq!(Guard::Strict.file(&file), Err(exposed), "{mode:o}");
        assert_eq!(Guard::Off.file(&file), Ok(Some(exposed)));
    }
}

#[test]
fn attack_50_a_folder_that_others_can_write_is_refused() {
    let folder = on_disk();
    for mode in [0o700, 0o755, 0o750] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        assert_eq!(Guard::Strict.folder(folder.path()), Ok(None), "{mode:o}");
    }
    for mode in [0o770, 0o707, 0o777, 0o1777] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let exposed = Exposed::Folder { mode };
        assert_eq!(Guard::Strict.folder(folder.path()), Err(exposed), "{mode:o}");
        assert_eq!(Guard::Off.folder(folder.path()), Ok(Some(exposed)));
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    assert_eq!(Guard::Strict.folder(&folder.path().join("missing")), Ok(None));
}

/// Also behind a link.
#[test]
fn attack_50_a_replaceable_file_is_refused() {
    let folder = on_disk();
    let (open, closed) = (folder.path().join("open"), folder.path().join("closed"));
    for place in [&open, &closed] {
        fs::create_dir(place).unwrap();
    }
    let (file, link) = (open.join("file"), closed.join("link"));
    fs::write(&file, "x").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for (mode, is_refused) in [
        (0o755, false),
        (0o775, false),
        (0o1777, false),
        (0o777, true),
        (0o757, true),
    ] {
        fs::set_permissions(&open, Permissions::from_mode(mode)).unwrap();
        for path in [&file, &link] {
            let exposed = is_refused.then_some(Exposed::Folder { mode });
            assert_eq!(
                Guard::Strict.place_of(path),
                exposed.map_or(Ok(None), Err),
                "{mode:o}"
            );
            assert_eq!(Guard::Off.place_of(path), Ok(exposed), "{mode:o}");
        }
    }
    assert_eq!(Guard::Strict.place_of(&folder.path().join("missing")), Ok(None));
}

#[test]
fn secrets_in_memory_may_be_readable_but_not_writable() {
    // If this machine has such a file system.
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    if Mount::of(&File::open(folder.path()).unwrap()) != Mount::Memory {
        return;
    }
    let exposed = Exposed::Readable { mode: 0o444 };
    let file = with_mode(folder.path(), 0o444);
    assert_eq!(Guard::Strict.file(&file), Ok(Some(exposed)));
    let exposed = Exposed::Writable { mode: 0o666 };
    let file = with_mode(folder.path(), 0o666);
    assert_eq!(Guard::Strict.file(&file), Err(exposed));
}

const US: u32 = 1_000;

fn seen(mode: u32, owner: u32, mount: Mount) -> Seen {
    Seen {
        mode,
        owner,
        ours: false,
        mount,
        us: US,
    }
}

#[test]
fn attack_50_a_shared_file_may_be_readable_not_writable() {
    for mount in [Mount::Memory, Mount::ReadOnly] {
        for owner in [0, US] {
            // The modes in which Docker, Kubernetes and systemd hand out secrets.
            for mode in [0o444, 0o440, 0o644] {
                let expected = Some((Exposed::Readable { mode }, true));
                assert_eq!(seen(mode, owner, mount).file(), expected);
            }
            for mode in [0o400, 0o600] {
                assert_eq!(seen(mode, owner, mount).file(), None);
            }
            for mode in [0o666, 0o660] {
                let expected = Some((Exposed::Writable { mode }, false));
                assert_eq!(seen(mode, owner, mount).file(), expected);
            }
        }
    }
    let mode = 0o444;
    let expected = Some((Exposed::Readable { mode }, false));
    assert_eq!(seen(mode, 0, Mount::Usual).file(), expected);
}

#[test]
fn attack_50_what_belongs_to_another_user_counts_as_writable() {
    let owner = 1_234;
    let foreign = Exposed::Foreign { owner };
    for mode in [0o600, 0o400, 0o644] {
        for mount in [Mount::Usual, Mount::Memory] {
            assert_eq!(seen(mode, owner, mount).file(), Some((foreign, false)));
        }
        // As with `secrets:` of a compose file.
        assert_eq!(seen(mode, owner, Mount::ReadOnly).file(), Some((foreign, true)));
    }
    let folder = Exposed::ForeignFolder { owner };
    assert_eq!(seen(0o700, owner, Mount::Usual).folder(), Some((folder, false)));
    assert_eq!(seen(0o755, owner, Mount::Memory).folder(), Some((folder, false)));
    assert_eq!(seen(0o755, owner, Mount::ReadOnly).folder(), None);
    for owner in [0, US] {
        assert_eq!(seen(0o755, owner, Mount::Usual).folder(), None);
        assert_eq!(seen(0o600, owner, Mount::Usual).file(), None);
    }
}

#[test]
fn attack_50_only_a_shared_folder_is_open_to_a_group() {
    let mode = 0o2775;
    let refused = Some((Exposed::Folder { mode }, false));
    let folder = seen(mode, 0, Mount::Usual);
    assert_eq!(folder.folder(), refused, "a group that is not ours");
    assert_eq!(Seen { ours: true, ..folder }.folder(), None);
    let ours = Seen {
        ours: true,
        owner: US,
        ..folder
    };
    assert_eq!(ours.folder(), refused, "not root's");
}

#[test]
fn attack_50_a_file_that_was_given_to_another_user_is_refused() {
    let folder = on_disk();
    let file = with_mode(folder.path(), 0o600);
    // Only root can give a file away.
    if std::os::unix::fs::fchown(&file, Some(1_234), None).is_err() {
        return;
    }
    let foreign = Exposed::Foreign { owner: 1_234 };
    assert_eq!(Guard::Strict.file(&file), Err(foreign));
    assert_eq!(Guard::Off.file(&file), Ok(Some(foreign)));
    std::os::unix::fs::chown(folder.path(), Some(1_234), None).unwrap();
    let foreign = Exposed::ForeignFolder { owner: 1_234 };
    assert_eq!(Guard::Strict.folder(folder.path()), Err(foreign));
}

#[test]
fn attack_50_a_lock_is_never_made_through_a_link() {
    let folder = on_disk();
    let link = folder.path().join("x.lock");
    std::os::unix::fs::symlink(folder.path().join("foreign"), &link).unwrap();
    assert!(open_or_create(&link).is_err());
    assert!(!folder.path().join("foreign").exists());
    assert!(open_or_create(&folder.path().join("y.lock")).is_ok());
}
