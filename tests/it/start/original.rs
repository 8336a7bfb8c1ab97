//! A compose file and files of settings and routes that were written for the original system.

use std::{fs, path::Path};

use super::folder;
use crate::support::{Ended, Port, Process, raw};

const ENVIRONMENT: &str = include_str!("original/environment");
const SETTINGS: &str = include_str!("original/settings.yaml");
const ROUTES: &str = include_str!("original/routes.yaml");

/// The lines that do not start yet, each with the issue that builds its feature. An issue that builds something
/// empties its part; after the last one the list is empty.
const LATER: &[(&str, Issue)] = &[
    ("TELEMETRY_ENABLED=true", Issue::Diagnostics),
    ("OTLP_ENDPOINT=http://otel:4317", Issue::Diagnostics),
    ("MS_BFF_DPOP_ENABLED=true", Issue::Fapi),
    ("MS_BFF_JARM_MODE=jwt", Issue::Fapi),
    ("MS_BFF_AUTHZ_ENABLED=true", Issue::Decisions),
    ("AUTHZ_VALIDATION_STRICT=true", Issue::Decisions),
    ("PDP_BASE_URL=http://pdp:8001", Issue::Decisions),
    ("PDP_CLIENT_SECRET=planted-secret-pdp", Issue::Decisions),
    ("feature_flags: { authz_enabled: true }", Issue::Decisions),
    ("authz: pdp", Issue::Decisions),
];

/// The same for endpoints of the original server without a setting. Until then they are unanswered.
const LATER_ENDPOINTS: &[(&str, Issue)] = &[
    ("GET /api/v1/metrics", Issue::Metrics),
    ("POST /api/v1/metrics", Issue::Metrics),
];

/// The later issues by feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issue {
    Diagnostics = 11,
    Metrics = 13,
    Fapi = 14,
    Decisions = 15,
}

/// Whether `line` waits for a later issue, and is not the one that is tried now.
fn waits(line: &str, tried: Option<&str>) -> bool {
    let line = line.trim();
    Some(line) != tried && LATER.iter().any(|(later, _)| *later == line)
}

/// The text without the lines that wait.
fn without_later(text: &str, tried: Option<&str>) -> String {
    text.lines()
        .filter(|line| !waits(line, tried))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Writes the files into `folder`; the variables.
fn prepared(folder: &Path, tried: Option<&str>) -> Vec<(String, String)> {
    fs::create_dir_all(folder.join("secrets")).unwrap();
    for (name, content) in [
        ("secrets/iat", "planted-secret-iat"),
        (
            "secrets/session",
            "cGxhbnRlZC1zZWNyZXQtb2YtMzItYnl0ZXMtYW5kLW1vcmU=",
        ),
    ] {
        bff::private_file::replace(&folder.join(name), content.as_bytes()).unwrap();
    }
    fs::write(
        folder.join("config/settings.yaml"),
        without_later(SETTINGS, tried),
    )
    .unwrap();
    fs::write(folder.join("config/routes.yaml"), without_later(ROUTES, tried)).unwrap();
    without_later(ENVIRONMENT, tried)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

async fn checked(folder: &Path, variables: &[(String, String)]) -> Ended {
    let ended = Process::start(folder, &["check", "--config-only"], variables)
        .ended()
        .await;
    assert!(!ended.output.contains("planted-secret"), "{}", ended.output);
    ended
}

/// Without the features that are not built yet.
#[tokio::test]
async fn the_original_configuration_starts() {
    let folder = folder();
    let mut variables = prepared(folder.path(), None);
    checked(folder.path(), &variables).await.says(
        0,
        &[
            "the configuration is consistent",
            "note: TOKEN_HASH_SALT: has no effect",
            "note: cors.allow_headers (settings.yaml, line 9): has no effect",
            "warning: KAFKA_ENABLED: has no effect",
            "warning: BFF_COOKIE_DOMAIN: ",
        ],
    );
    let port = Port::reserve();
    let address = port.address();
    variables.push(("PORT".to_owned(), address.port().to_string()));
    variables.push(("BFF_KEY_TYPE".to_owned(), "p-256".to_owned()));
    // None runs there.
    variables.retain(|(name, _)| name != "REDIS_URL");
    drop(port);
    let mut bff = Process::start(folder.path(), &[], &variables);
    bff.says("\"listening\"").await;
    for (endpoint, issue) in LATER_ENDPOINTS {
        let request = format!("{endpoint} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = raw(address, &request).await;
        assert!(
            answer.starts_with("HTTP/1.1 404 "),
            "{endpoint} waits for issue {}: {answer}",
            *issue as u8
        );
    }
    let output = bff.output();
    assert!(!output.contains("planted-secret"), "{output}");
    for line in output.lines().filter(|line| line.contains("has no effect")) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let warned = line["level"] == "WARN";
        assert_eq!(warned, line.to_string().contains("KAFKA_ENABLED"), "{line}");
    }
}

#[tokio::test]
async fn an_unbuilt_feature_is_refused_with_a_message() {
    let folder = folder();
    for (line, issue) in LATER {
        let everything = [ENVIRONMENT, SETTINGS, ROUTES].concat();
        assert!(
            everything.lines().any(|other| other.trim() == *line),
            "{line} waits for issue {} and stands nowhere",
            *issue as u8
        );
        let variables = prepared(folder.path(), Some(line));
        let ended = checked(folder.path(), &variables).await;
        let name = line.split(['=', ':']).next().unwrap();
        ended.says(64, &["not built yet", name]);
    }
}
