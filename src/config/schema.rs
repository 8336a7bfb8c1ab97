//! The JSON Schema of `settings.yaml`, for editors, made from the catalogue and the tables of legacy names.
//!
//! It says what a key may look like, not what the settings mean together: that is for `bff check --config-only`.

use serde_json::{Map, Value, json};

use super::{
    catalogue::{Kind, VARIABLES, Variable},
    legacy::{self, Legacy, Verdict},
};

/// These say where the file is, so they cannot stand in it.
const ELSEWHERE: [&str; 2] = ["BFF_CONFIG_DIR", "SETTINGS_FILE"];

/// Values that hold `${NAME}`: what stands for it is only known at the start.
const EXPANDED: &str = "\\$\\{";

/// The schema (JSON Schema draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut properties = Map::new();
    let mut patterns = Map::new();
    for variable in VARIABLES.iter().filter(|one| !ELSEWHERE.contains(&one.name)) {
        insert_variable(&mut properties, variable);
    }
    for legacy in legacy::VARIABLES {
        insert_legacy(
            &mut properties,
            &mut patterns,
            &legacy.name.to_ascii_lowercase(),
            legacy,
        );
    }
    for legacy in legacy::KEYS {
        match legacy.name.split_once('.') {
            None => insert_legacy(&mut properties, &mut patterns, legacy.name, legacy),
            Some((section, key)) => insert_below(&mut properties, section, key, legacy),
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "settings.yaml of bff",
        "description": "The variables of docs/configuration.md, their names in lower case. The environment wins over the file.",
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
        "$defs": definitions(),
    })
}

fn insert_variable(properties: &mut Map<String, Value>, variable: &Variable) {
    let name = variable.name.to_ascii_lowercase();
    let description = format!("{}. Without it: {}.", variable.meaning, variable.default);
    for key in std::iter::once(&variable.name).chain(variable.aliases) {
        let key = key.to_ascii_lowercase();
        if properties.contains_key(&key) {
            continue;
        }
        let mut property = match variable.not_built {
            Some("") => json!({"enum": ["", null]}),
            Some(only) => json!({"enum": [only, only == "true", null]}),
            None => of_kind(variable.kind),
        };
        if let Some(property) = property.as_object_mut() {
            if key == name {
                property.insert("description".to_owned(), json!(description));
            } else {
                property.insert(
                    "description".to_owned(),
                    json!(format!("Another name of {name}.")),
                );
                property.insert("deprecated".to_owned(), json!(true));
            }
        }
        if variable.is_secret() {
            let description = format!("File that holds {key}.");
            properties.insert(
                format!("{key}_file"),
                json!({"$ref": "#/$defs/text", "description": description}),
            );
        }
        properties.insert(key, property);
    }
}

/// A name of the original system that is accepted with some value. What is refused with every value is left out.
fn of_legacy(legacy: &Legacy) -> Option<Value> {
    let told = |what: String| Some(json!({"deprecated": true, "description": what}));
    match legacy.verdict {
        Verdict::Refused(_) | Verdict::NotBuilt(_) => None,
        Verdict::Ignored(reason) | Verdict::Missed { reason, .. } | Verdict::Only { reason, .. } => {
            told(format!("Without an effect: {reason}."))
        }
        Verdict::NotBuiltBut { meaning, .. } => told(format!("Not built yet: {meaning}.")),
        Verdict::Means(name) | Verdict::Sets(name, _) => {
            told(format!("Another name of {}.", name.to_ascii_lowercase()))
        }
        Verdict::AddsTo(lists) => told(format!("Added to {}.", lists.join(", ").to_ascii_lowercase())),
    }
}

fn insert_legacy(
    properties: &mut Map<String, Value>,
    patterns: &mut Map<String, Value>,
    key: &str,
    legacy: &Legacy,
) {
    let Some(property) = of_legacy(legacy) else {
        return;
    };
    match key.strip_suffix('*') {
        Some(start) => {
            patterns.insert(format!("^{start}"), property);
        }
        None if !properties.contains_key(key) => {
            properties.insert(key.to_owned(), property);
        }
        None => {}
    }
}

/// A key below a section of the original file.
fn insert_below(properties: &mut Map<String, Value>, section: &str, key: &str, legacy: &Legacy) {
    let Some(property) = of_legacy(legacy) else {
        return;
    };
    let section = properties.entry(section).or_insert_with(|| {
        json!({
            "type": ["object", "null"],
            "deprecated": true,
            "description": "A section of the original file.",
            "properties": {},
            "additionalProperties": false,
        })
    });
    if key == "*" {
        section["additionalProperties"] = property;
    } else {
        section["properties"][key] = property;
    }
}

/// The pattern of a value of this kind.
fn of_kind(kind: Kind) -> Value {
    let defined = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    match kind {
        Kind::Text | Kind::Url | Kind::Path | Kind::Folder => defined("text"),
        Kind::Number => defined("number"),
        Kind::Switch => defined("switch"),
        Kind::Choice(words) => choice(words),
        Kind::Duration => defined("duration"),
        Kind::Bytes => defined("size"),
        Kind::List | Kind::Files => defined("list"),
        Kind::Map => defined("map"),
        Kind::Origin => defined("origin"),
        Kind::Secret => defined("secret"),
    }
}

fn choice(words: &[&str]) -> Value {
    let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    if words.contains(&"true") {
        values.extend([
            json!(true),
            json!(false),
            json!(1),
            json!(0),
            json!("1"),
            json!("0"),
        ]);
    }
    values.push(Value::Null);
    json!({"anyOf": [{"enum": values}, {"$ref": "#/$defs/expanded"}]})
}

fn definitions() -> Value {
    let or_expanded = |what: &str, shape: Value| json!({"description": what, "anyOf": [shape, {"$ref": "#/$defs/expanded"}, {"type": "null"}]});
    let whole = |pattern: &str| json!({"type": ["integer", "string"], "minimum": 0, "pattern": pattern});
    json!({
        "expanded": {"type": "string", "pattern": EXPANDED},
        "text": {"type": ["string", "integer", "null"]},
        "number": or_expanded("A whole number.", whole("^[0-9]+$")),
        "switch": choice(&["true", "false"]),
        "duration": or_expanded(
            "Seconds, or a number with a unit: 500ms, 90s, 5m, 8h, 2d.",
            whole("^[0-9]+(ms|s|m|h|d)?$"),
        ),
        "size": or_expanded(
            "Bytes, or a number with a unit: 512MiB, 1GiB.",
            whole("^[0-9]+( *(KiB|MiB|GiB|TiB))?$"),
        ),
        "origin": or_expanded(
            "https://host[:port]",
            json!({"type": "string", "pattern": "^https?://[^/?#]+/?$"}),
        ),
        "list": {
            "description": "A list, or its entries separated by commas or spaces.",
            "type": ["array", "string", "integer", "null"],
            "items": {"type": ["string", "integer"]},
        },
        "map": {
            "description": "A map, or entries name=value separated by commas or spaces.",
            "type": ["object", "array", "string", "null"],
            "items": {"type": "string"},
            "additionalProperties": {
                "type": ["array", "string", "integer", "null"],
                "items": {"type": ["string", "integer"]},
            },
        },
        "secret": {
            "description": "A secret must not stand here: name its file (file:/path), or use the key with _file at its end.",
            "type": ["string", "null"],
            "pattern": format!("^\\s*file:|{EXPANDED}"),
        },
    })
}

#[cfg(test)]
mod tests;
