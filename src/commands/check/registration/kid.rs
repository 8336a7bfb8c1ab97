//! Whether the IdP has the key that signs.

use serde_json::Value;

use super::{
    super::{
        finding::{Check, Kind, Report},
        jwks::{Served, other_kids},
        own::KeysFound,
        text::{clean, items, list},
    },
    fields::{KEYS, METHOD, repair},
    jwk_sets::is_empty_set,
};
use crate::{
    diagnostic::{Knob, fix},
    registration::{AuthMethod, Change, Inspected},
};

/// Whether the IdP has the key that signs.
pub(super) fn check(
    client: &Inspected,
    keys: &KeysFound,
    knows: Option<bool>,
    registered: Option<&[Value]>,
    served: &Served,
    report: &mut Report,
) {
    let Some(keys) = keys.found() else {
        return report.skip(Check::Kid, "there is no key yet");
    };
    if !matches!(&client.client, Ok(client) if client.auth.method() == AuthMethod::PrivateKeyJwt.name())
        && client.wanted.fields().get(METHOD) != Some(&Value::from(AuthMethod::PrivateKeyJwt.name()))
    {
        return report.skip(Check::Kid, "nothing is signed with a client secret");
    }
    let signing = keys.signing();
    let kid = signing.kid();
    let moved = client
        .changes
        .iter()
        .find(|change| KEYS.contains(&change.field.as_str()) && !is_empty_surplus(change));
    if let Some(change) = moved {
        let theirs = change.from.as_ref().map(items).unwrap_or_default();
        let ours = change.to.as_ref().map(items).unwrap_or_default();
        let renamed = registered.map_or_else(Vec::new, |registered| other_kids(keys, registered));
        let what = match (change.field.as_str(), knows) {
            ("jwks", Some(false)) if !renamed.is_empty() => format!(
                "the IdP has the signing key as kid {}, and it signs as kid {kid}",
                clean(&renamed.join(", "))
            ),
            ("jwks", Some(true)) => {
                "the keys that the IdP has registered are not all that are published".to_owned()
            }
            ("jwks_uri", _) => "the IdP fetches our keys from elsewhere".to_owned(),
            _ => format!("the IdP does not have the signing key, kid {kid}"),
        };
        let cause = format!("{} there: {}; here: {}", change.field, list(&theirs), list(&ours));
        let fix = match (change.field.as_str(), knows) {
            ("jwks_uri", _) => {
                fix!(
                    "put {} or {} back if one was changed by mistake; else {}",
                    Knob::BaseUrl,
                    Knob::JwksUri,
                    repair(client)
                )
            }
            (_, Some(true)) => repair(client),
            _ => fix!(
                "{}; or, if another key signs here by mistake, restore {} with the files that it names, because it decides which key \
                 signs ({} and {} name a key that comes next)",
                repair(client),
                Knob::KeyringFile,
                Knob::SigningKey,
                Knob::KeyId
            ),
        };
        return report.fail(Kind::Wrong, Check::Kid, what, cause, fix);
    }
    match (knows, served) {
        (Some(true), _) => report.ok(Check::Kid, format!("the IdP finds {kid}")),
        (Some(false), _) => report.skip(
            Check::Kid,
            "the IdP fetches our keys where the row jwks looks: fix that first",
        ),
        (None, Served::Nobody(url)) => {
            report.skip(
                Check::Kid,
                format!("the IdP fetches our keys from {url}, where nobody answers now"),
            );
        }
        (None, _) => report.skip(Check::Kid, "which keys the IdP has cannot be read"),
    }
}

/// An empty set that has to go takes no key away.
fn is_empty_surplus(change: &Change) -> bool {
    change.to.is_none() && change.from.as_ref().is_some_and(is_empty_set)
}
