//! The reference of all variables, generated from the catalogue.

use std::fmt::Write as _;

use super::{
    catalogue::{Group, Kind, VARIABLES, Variable},
    legacy,
};

/// `docs/configuration.md`, which is committed; a test compares the two.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Generated from `src/config/catalogue.rs`, do not edit: a test compares the two and says how to renew this page.\n\n\
         Every variable comes from the environment or, in lower case, from `settings.yaml` in `BFF_CONFIG_DIR`; the \
         environment wins. An empty variable counts as unset. A secret can also come from a file: `NAME_FILE` contains its \
         path, or `NAME=file:/path`. In `settings.yaml`, a secret must come from a file (`name_file` or `file:`). Values in \
         `settings.yaml` and `routes.yaml` can contain the placeholders `${NAME}` and `${NAME:-default}` for variables of the \
         environment; the server never prints their values. A list is separated by commas or spaces, or it is a JSON array, \
         or a list in `settings.yaml`. `1` and `0` mean `true` and `false`. A duration, here and in `routes.yaml`, is in \
         seconds unless it has a unit (`500ms`, `90s`, `5m`, `8h`, `2d`). The server reports all mistakes at once and exits \
         with code 64.\n\n\
         Editors complete and check both files by their JSON Schemas \
         ([settings](../config/settings.schema.json), [routes](../config/routes.schema.json)), which `bff schema settings` and \
         `bff schema routes` print. The first line of a file names its schema, as in \
         `# yaml-language-server: $schema=settings.schema.json`. A schema checks each key; `bff check --config-only` also checks \
         how the values fit together.\n",
    );
    for group in Group::ALL {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n## {}\n\n| variable | holds | default | meaning |\n| --- | --- | --- | --- |\n",
            group.title()
        );
        for variable in VARIABLES.iter().filter(|variable| variable.group == group) {
            text.push_str(&row(variable));
        }
    }
    text.push_str(
        "\n## Names of the original system\n\n\
         A configuration of the original system works here. Names with the same meaning are aliases above. The table \
         lists all others. The server refuses a feature that is not built yet. In `settings.yaml`, only the names with a dot \
         may be nested (`auth.issuer` as `issuer` below `auth`); all others are flat, in lower case. A key and its nested \
         form together are a mistake.\n\n\
         | name | treatment |\n| --- | --- |\n",
    );
    for legacy in legacy::VARIABLES.iter().chain(legacy::KEYS) {
        let _ = writeln!(text, "| `{}` | {} |", legacy.name, legacy.verdict);
    }
    text
}

fn row(variable: &Variable) -> String {
    let mut name = format!("`{}`", variable.name);
    for alias in variable.aliases {
        let _ = write!(name, " (alias `{alias}`)");
    }
    let note = match variable.not_built {
        None => String::new(),
        Some("") => "; not built yet, must not be set".to_owned(),
        Some(only) => format!("; not built yet, accepts only `{only}`"),
    };
    format!(
        "| {name} | {} | {} | {}{note} |\n",
        kind(variable.kind),
        variable.default,
        variable.meaning
    )
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Text => "text".to_owned(),
        Kind::Number => "number".to_owned(),
        Kind::Switch => "`true`, `false`".to_owned(),
        Kind::Choice(words) => words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        Kind::Duration => "duration".to_owned(),
        Kind::Bytes => "size".to_owned(),
        Kind::List => "list".to_owned(),
        Kind::Map => "list of `name=value`".to_owned(),
        Kind::Url => "URL".to_owned(),
        Kind::Origin => "origin".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Folder => "folder".to_owned(),
        Kind::Files => "list of paths".to_owned(),
        Kind::Secret => "secret".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_reference_is_current() {
        crate::generated::assert_whole("docs/configuration.md", &reference());
    }
}
