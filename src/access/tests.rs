use super::*;

fn obstacle(mode: u32, owner: u32, lacks: &'static str) -> Obstacle {
    Obstacle {
        path: PathBuf::from("/etc/bff/key.pem"),
        is_folder: false,
        mode,
        owner,
        lacks,
    }
}

#[test]
fn the_command_gives_the_lacking_right_and_no_more() {
    let us = us();
    let other = us.wrapping_add(1);
    for (obstacle, need, command) in [
        (
            obstacle(0o200, us, "r"),
            Need::Read,
            "chmod u+r /etc/bff/key.pem".to_owned(),
        ),
        (
            obstacle(0o600, other, "r"),
            Need::Read,
            "chmod o+r /etc/bff/key.pem".to_owned(),
        ),
        (
            obstacle(0o600, other, "r"),
            Need::ReadPrivate,
            format!("chown {us} /etc/bff/key.pem"),
        ),
        (
            obstacle(0o000, other, "r"),
            Need::ReadPrivate,
            format!("chown {us} /etc/bff/key.pem && chmod u+r /etc/bff/key.pem"),
        ),
        (
            obstacle(0o700, other, "x"),
            Need::ReadPrivate,
            "chmod o+x /etc/bff/key.pem".to_owned(),
        ),
        (
            obstacle(0o755, other, "wx"),
            Need::WriteIn,
            format!("chown {us} /etc/bff/key.pem"),
        ),
    ] {
        assert_eq!(obstacle.command(need), command);
    }
}

#[test]
fn a_path_in_a_command_is_one_word() {
    for (path, word) in [
        ("/app/keys/key.pem", "/app/keys/key.pem"),
        ("/my keys/key.pem", "'/my keys/key.pem'"),
        ("it's; rm -rf", r"'it'\''s; rm -rf'"),
        ("", "''"),
    ] {
        assert_eq!(quoted(Path::new(path)), word);
    }
}

#[test]
fn an_error_without_a_lacking_right_has_no_command() {
    let missing = io::Error::from(io::ErrorKind::NotFound);
    let refused = Refused::of(Path::new("/none"), Need::Read, &missing);
    assert_eq!(refused.remedy(), None);
    assert!(
        refused.to_string().starts_with("/none cannot be read: "),
        "{refused}"
    );
    // The permissions would allow it.
    let folder = tempfile::tempdir().unwrap();
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let refused = Refused::of(folder.path(), Need::Read, &denied);
    assert!(
        refused.reason().contains("although its permissions allow it"),
        "{refused}"
    );
    assert!(refused.remedy().unwrap().contains("SELinux"));
}
