use std::{fs, path::Path};

use serde_json::Value;

use super::*;
use crate::{
    config::{Config, Environment},
    generated::{Checker, assert_whole},
};

/// A folder of its own, with this `settings.yaml` and the least that loads around it.
fn load(settings: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("settings.yaml"), settings).unwrap();
    let mut around = vec![
        ("BFF_CONFIG_DIR", folder.path().to_str().unwrap()),
        ("OIDC_ISSUER", "https://idp.example"),
        ("AUTH_CLIENT_ID", "bff-server"),
    ];
    // The environment would win over the file.
    if !settings.contains("bff_base_url") {
        around.push(("BFF_BASE_URL", "https://app.example"));
    }
    let environment: Environment = around.into_iter().collect();
    match Config::load(&environment) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_committed_schema_is_current() {
    assert_whole(
        "config/settings.schema.json",
        &crate::generated::pretty(&schema()),
    );
}

#[test]
fn every_variable_has_a_property() {
    let schema = schema();
    for variable in VARIABLES {
        let key = variable.name.to_ascii_lowercase();
        let has = schema["properties"].get(&key).is_some();
        assert_eq!(has, !ELSEWHERE.contains(&variable.name), "{key}");
    }
}

#[test]
fn the_samples_match_and_name_the_schema() {
    let checker = Checker::new(&schema());
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/settings.yaml");
    let text = fs::read_to_string(sample).unwrap();
    checker.accepts(&text).unwrap();
    assert!(text.starts_with("# yaml-language-server: $schema=settings.schema.json\n"));
    // The commented entries match as well.
    let all: String = text.lines().map(|line| uncommented(line) + "\n").collect();
    checker.accepts(&all).unwrap();
}

/// `# port: 8000   # why` as `port: 8000`; a comment in words stays one.
fn uncommented(line: &str) -> String {
    let Some(inside) = line.strip_prefix("# ") else {
        return line.to_owned();
    };
    let key = inside.split(':').next().unwrap_or_default();
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_entry = inside.starts_with("  - ");
    if is_key && inside.contains(':') || is_entry {
        inside.to_owned()
    } else {
        line.to_owned()
    }
}

#[test]
fn schema_and_reader_accept_the_same_files() {
    let checker = Checker::new(&schema());
    for settings in [
        "",
        "# nothing\n",
        "port: 9000\n",
        "port: \"9000\"\n",
        "keep_alive: 90\n",
        "keep_alive: 1500ms\n",
        "session_lifetime: 2d\n",
        "session_memory_limit: 512MiB\n",
        "oidc_scopes: openid email\n",
        "oidc_scopes: [openid, email]\n",
        "ms_bff_par_enabled: auto\n",
        "ms_bff_par_enabled: true\n",
        "bff_cookie_samesite: Lax\n",
        "ms_bff_dpop_enabled: false\n",
        "log_level: ${NO_SUCH_LEVEL:-info}\n",
        "keep_alive: ${NO_SUCH_TIME:-5m}\n",
        "log: { level: debug }\n",
        "cache: { ttl: 300 }\n",
        "dcr_client_id:\n",
    ] {
        load(settings).unwrap();
        checker.accepts(settings).unwrap();
    }
}

#[test]
fn schema_and_reader_refuse_the_same_files() {
    let checker = Checker::new(&schema());
    for settings in [
        "- port\n",
        "prot: 1\n",
        "PORT: 1\n",
        "port: x\n",
        "port: [1]\n",
        "port: 1.5\n",
        "keep_alive: 5 minutes\n",
        "keep_alive: 1w\n",
        "keep_alive: -1\n",
        "session_memory_limit: 1GB\n",
        "bff_cookie_samesite: lax\n",
        "bff_cookie_secure: sometimes\n",
        "ms_bff_dpop_enabled: true\n",
        "session_secret: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "bff_base_url: https://app.example/path\n",
        "bff_config_dir: /x\n",
        "oidc_scopes: { a: b }\n",
        "service_audiences: { orders: { x: y } }\n",
        "pdp: { base_url: x }\n",
        "auth: { isuer: x }\n",
    ] {
        assert!(load(settings).is_err(), "the reader takes {settings}");
        assert!(checker.accepts(settings).is_err(), "the schema takes {settings}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file_or_a_variable_alone() {
    let checker = Checker::new(&schema());
    for settings in [
        "session_secret: file:/run/secrets/x\n",
        "session_secret: ${SESSION}\n",
        "session_secret_file: /run/secrets/x\n",
    ] {
        checker.accepts(settings).unwrap();
    }
    let secret = &schema()["properties"]["session_secret"];
    assert_eq!(secret["$ref"], Value::from("#/$defs/secret"));
}
