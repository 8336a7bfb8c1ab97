//! Misspelled names, with the nearest known one.

use super::{
    catalogue::{self, VARIABLES},
    environment::Environment,
    legacy,
    problem::{Complaint, Warning, shown_name},
};

/// Variables that begin like this are meant for the BFF.
const PREFIXES: [&str; 14] = [
    "AUTHZ_",
    "AUTH_",
    "BFF_",
    "CAEP_",
    "CORS_",
    "DCR_",
    "IDP_",
    "KAFKA_",
    "LEGACY_SERVICE_",
    "MS_",
    "OIDC_",
    "PDP_",
    "SESSION_",
    "TOKEN_",
];

/// Names that desktops, shells and container managers set for themselves, with such a prefix or similar to one of
/// ours.
const FOREIGN: [&str; 26] = [
    "DISPLAY",
    "EDITOR",
    "FTP_PROXY",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "LANG",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "PAGER",
    "PATH",
    "PS1",
    "PWD",
    "SESSION_MANAGER",
    "SESSION_TYPE",
    "SHELL",
    "SHLVL",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "VISUAL",
    "ftp_proxy",
];

/// Longer names are not compared.
const MAX_NAME: usize = 64;
/// The length from which a known name matches within two edits; a shorter one within one.
const LONG_NAME: usize = 8;

/// A warning for every unknown variable with one of our prefixes or with a name similar to one of ours.
pub(super) fn warnings(environment: &Environment) -> Vec<Warning> {
    environment
        .names()
        .filter(|name| !is_known(name) && !FOREIGN.contains(name) && !is_service_link(name))
        .filter_map(|name| {
            let message = match (
                misspelt(name),
                PREFIXES.iter().any(|prefix| name.starts_with(prefix)),
            ) {
                (Some(known), _) => format!("is not known and has no effect; did you mean {known}?"),
                (None, true) => match nearest(name) {
                    Some(known) => format!("is not known and has no effect; did you mean {known}?"),
                    None => "is not known and has no effect".to_owned(),
                },
                (None, false) => return None,
            };
            Some(Warning::new(shown_name(name), message))
        })
        .collect()
}

/// The known name that `name` certainly misspells: with a separator doubled or missing, in small letters, or a stroke or
/// two away.
fn misspelt(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    let bare = |name: &str| name.replace('_', "").to_ascii_uppercase();
    let joined = bare(name);
    if let Some(known) = known_names().find(|known| known.len() >= LONG_NAME && bare(known) == joined) {
        return Some(known);
    }
    known_names()
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .filter(|(distance, known)| *distance <= if known.len() >= LONG_NAME { 2 } else { 1 })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Whether Kubernetes or Docker describes another container in this variable: `BFF_SERVICE_HOST`,
/// `BFF_PORT_8000_TCP`.
fn is_service_link(name: &str) -> bool {
    let numbered = |mark: &str| {
        name.split_once(mark)
            .is_some_and(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || numbered("_PORT_")
        || (name.ends_with("_PORT") && !VARIABLES.iter().any(|variable| variable.name == name))
}

/// The message about an unknown key of `settings.yaml`.
pub(super) fn unknown_key(key: &str) -> Complaint {
    let name = key.to_ascii_uppercase();
    if catalogue::find(&name)
        .is_some_and(|variable| ["BFF_CONFIG_DIR", "SETTINGS_FILE"].contains(&variable.name))
    {
        return Complaint::new(
            "cannot stand in settings.yaml, which is found through it",
            format!("set {name} in the environment"),
        );
    }
    let lower = key.to_ascii_lowercase();
    let fix = if key != lower && is_known(&name) {
        format!("write `{lower}`: keys are in lower case")
    } else if let Some(plain) = name
        .strip_suffix("_FILE")
        .filter(|plain| catalogue::find(plain).is_some())
    {
        format!(
            "write `{}`: only secrets are read from files",
            plain.to_ascii_lowercase()
        )
    } else if lower.contains('.') && is_known(&name.replace('.', "_")) {
        format!("write `{}` in one, not nested", lower.replace('.', "_"))
    } else if let Some(below) = first_below(&name) {
        format!(
            "nest nothing below it: write each name in one, such as `{}`; docs/configuration.md lists what there is",
            below.to_ascii_lowercase()
        )
    } else if let Some(known) = nearest(&name) {
        format!("did you mean `{}`?", known.to_ascii_lowercase())
    } else {
        "remove it; docs/configuration.md lists what there is".to_owned()
    };
    Complaint::new("is not a known setting", fix)
}

/// A known name that begins with `name` as with the name of a section.
fn first_below(name: &str) -> Option<&'static str> {
    let mut known = VARIABLES.iter().map(|variable| variable.name);
    known.find(|known| known.strip_prefix(name).is_some_and(|rest| rest.starts_with('_')))
}

fn is_known(name: &str) -> bool {
    catalogue::find(name).is_some()
        || legacy::variable(name).is_some()
        || name
            .strip_suffix("_FILE")
            .and_then(catalogue::find)
            .is_some_and(catalogue::Variable::is_secret)
}

/// The known name that is a few strokes away, if one is: for names that are meant for the BFF for certain.
fn nearest(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    known_names()
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .filter(|(distance, known)| {
            *distance <= 2
                || *distance * 4 <= known.len()
                || (*distance <= 6 && name.starts_with(known.as_str()))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// All names that mean something in the environment.
fn known_names() -> impl Iterator<Item = String> {
    VARIABLES.iter().flat_map(|variable| {
        let file = variable.is_secret().then(|| format!("{}_FILE", variable.name));
        std::iter::once(variable.name)
            .chain(variable.aliases.iter().copied())
            .map(ToOwned::to_owned)
            .chain(file)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn warnings(names: &[&str]) -> Vec<String> {
        let environment: Environment = names.iter().map(|name| (*name, "planted")).collect();
        super::warnings(&environment)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_misspelt_name_gets_the_nearest_one() {
        for (wrong, right) in [
            ("DCR_REDIRECT_URI", "DCR_REDIRECT_URIS"),
            ("DCR_ITA", "DCR_IAT"),
            ("BFF_BASEURL", "BFF_BASE_URL"),
            ("OIDC_ISSUER_URL", "OIDC_ISSUER"),
            ("SESSION_SECRET_FIEL", "SESSION_SECRET_FILE"),
            ("MS_BFF_TOKEN_AUTH_METHODE", "MS_BFF_TOKEN_AUTH_METHOD"),
            ("SESSION_LIFETIMES", "SESSION_LIFETIME"),
        ] {
            assert_eq!(
                warnings(&[wrong]),
                [format!(
                    "{wrong}: is not known and has no effect; did you mean {right}?"
                )]
            );
        }
    }

    /// One or two strokes away, or with other separators.
    #[test]
    fn every_misspelled_name_is_recognised() {
        for variable in VARIABLES {
            let name = variable.name;
            let dropped = &name[..name.len() - 1];
            let mut wrong = vec![dropped.to_owned(), format!("{name}X"), name.to_ascii_lowercase()];
            if name.contains('_') {
                wrong.push(name.replacen('_', "__", 1));
                wrong.push(name.replacen('_', "", 1));
                wrong.push(name.replace('_', ""));
            }
            if name.len() >= LONG_NAME {
                wrong.push(format!("{dropped}XY"));
                wrong.push(format!("X{name}Y"));
            } else {
                wrong.retain(|wrong| {
                    *wrong != name.to_ascii_lowercase() && wrong.contains('_') == name.contains('_')
                });
            }
            for wrong in wrong {
                if is_known(&wrong) || FOREIGN.contains(&wrong.as_str()) || is_service_link(&wrong) {
                    continue;
                }
                let said = warnings(&[&wrong]);
                assert!(
                    said.len() == 1 && said[0].contains("did you mean"),
                    "{wrong}: {said:?}"
                );
            }
        }
    }

    #[test]
    fn what_others_set_is_left_alone() {
        let names = [
            "HOME",
            "PATH",
            "HOSTNAME",
            "LANGUAGE",
            "RUST_BACKTRACE",
            "KUBERNETES_SERVICE_HOST",
            "BFF_SERVICE_HOST",
            "BFF_SERVICE_PORT_HTTP",
            "BFF_PORT",
            "BFF_PORT_8000_TCP_ADDR",
            "IDP_PORT_8080_TCP",
            "LC_ALL",
            "GPG_KEY",
            "container",
            "http_proxy",
            "SSL_CERT_DIR",
        ];
        assert_eq!(warnings(&names), Vec::<String>::new());
    }

    #[test]
    fn other_names_are_left_alone_or_said_without_a_guess() {
        assert_eq!(
            warnings(&[
                "PATH",
                "HOME",
                "SESSION_MANAGER",
                "ALL_PROXY",
                "FTP_PROXY",
                "ftp_proxy",
                "DCR_IAT",
                "DCR_IAT_FILE",
                "BFF_METRICS_ADDR"
            ]),
            Vec::<String>::new()
        );
        assert_eq!(
            warnings(&["BFF_SOMETHING_ELSE_ENTIRELY"]),
            ["BFF_SOMETHING_ELSE_ENTIRELY: is not known and has no effect"]
        );
        assert_eq!(warnings(&["BFF_KID_FILE"]).len(), 1, "only secrets have a file");
        assert!(warnings(&["BFF_\n\u{1b}[31m"])[0].starts_with("a name that is not shown: "));
    }

    #[test]
    fn unknown_keys_say_what_to_write() {
        for (key, fix) in [
            ("Port", "write `port`"),
            ("PORT", "write `port`"),
            ("prot", "did you mean `port`?"),
            ("port_file", "only secrets"),
            ("bff_config_dir", "in the environment"),
            ("zzzzzzzzzzzzzz", "docs/configuration.md"),
            ("session", "such as `session_"),
            ("oidc", "such as `oidc_"),
            ("brand", "such as `brand_"),
            ("dcr", "such as `dcr_"),
            ("log.directory", "docs/configuration.md"),
            ("session.lifetime", "write `session_lifetime`"),
        ] {
            assert!(
                unknown_key(key).fix.contains(fix),
                "{key}: {:?}",
                unknown_key(key)
            );
        }
    }

    proptest! {
        #[test]
        fn no_name_panics(name in any::<String>()) {
            let _ = (unknown_key(&name), warnings(&[&format!("BFF_{name}")]));
        }
    }
}
