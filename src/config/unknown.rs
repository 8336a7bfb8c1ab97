//! Names that look like ours but are not, with the nearest one that is.

use super::{
    catalogue::{self, VARIABLES},
    environment::Environment,
    problem::{Complaint, Warning, shown},
};

/// Variables that begin like this are meant for the BFF.
const PREFIXES: [&str; 5] = ["BFF_", "DCR_", "MS_BFF_", "OIDC_", "SESSION_"];

/// What desktops and shells set for themselves under such a prefix.
const FOREIGN: [&str; 2] = ["SESSION_MANAGER", "SESSION_TYPE"];

/// Longer names are not compared.
const MAX_NAME: usize = 64;

/// A warning for every variable with a prefix of ours that is none.
pub(super) fn warnings(environment: &Environment) -> Vec<Warning> {
    environment
        .names()
        .filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !is_known(name) && !FOREIGN.contains(name))
        .map(|name| {
            let message = match nearest(name) {
                Some(known) => format!("is not known and has no effect; did you mean {known}?"),
                None => "is not known and has no effect".to_owned(),
            };
            let name = shown(name);
            Warning::new(name.trim_matches('"'), message)
        })
        .collect()
}

/// What is said of an unknown key of `settings.yaml`.
pub(super) fn unknown_key(key: &str) -> Complaint {
    if key == "bff_config_dir" {
        return Complaint::new(
            "cannot stand in settings.yaml, which is found through it",
            "set BFF_CONFIG_DIR in the environment",
        );
    }
    let name = key.to_ascii_uppercase();
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
    } else if let Some(known) = nearest(&name) {
        format!("did you mean `{}`?", known.to_ascii_lowercase())
    } else {
        "remove it; docs/configuration.md lists what there is".to_owned()
    };
    Complaint::new("is not a known setting", fix)
}

fn is_known(name: &str) -> bool {
    catalogue::find(name).is_some()
        || name
            .strip_suffix("_FILE")
            .and_then(catalogue::find)
            .is_some_and(catalogue::Variable::is_secret)
}

/// The known name that is a few strokes away, if one is.
fn nearest(name: &str) -> Option<String> {
    if name.len() > MAX_NAME {
        return None;
    }
    VARIABLES
        .iter()
        .flat_map(|variable| {
            let file = variable.is_secret().then(|| format!("{}_FILE", variable.name));
            std::iter::once(variable.name)
                .chain(variable.aliases.iter().copied())
                .map(ToOwned::to_owned)
                .chain(file)
        })
        .map(|known| (strsim::damerau_levenshtein(name, &known), known))
        .filter(|(distance, known)| {
            *distance <= 2
                || *distance * 4 <= known.len()
                || (*distance <= 6 && name.starts_with(known.as_str()))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
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

    #[test]
    fn other_names_are_left_alone_or_said_without_a_guess() {
        assert_eq!(
            warnings(&[
                "PATH",
                "HOME",
                "SESSION_MANAGER",
                "AUTH_X",
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
        assert!(warnings(&["BFF_\n\u{1b}[31m"])[0].starts_with(r"BFF_\n\u{1b}[31m: "));
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
