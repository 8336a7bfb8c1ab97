//! Reads `idps.yaml` and finds every mistake in it.

mod client;
mod mapping;

use std::collections::HashSet;

use url::Url;

use super::idps::{Answers, Around, ExchangeAt, Idp, Idps, MAX_FILE_SIZE, Source};
use crate::{
    url_policy::HttpPolicy,
    yaml::{self, Aliases, At, Fields, Mistakes, Node, Reader, Value, shown},
};

/// The keys of an entry.
pub(super) const KEYS: [&str; 17] = [
    "name",
    "provider",
    "issuer",
    "audience",
    "jwks_url",
    "introspection_url",
    "introspect",
    "signed_introspection",
    "opaque",
    "accept_untyped",
    "token_url",
    "client_id",
    "client_secret",
    "client_secret_file",
    "enable_token_exchange",
    "claims_mapping",
    "api_key",
];

/// More entries are a mistake.
const MAX_IDPS: usize = 64;

const AUDIENCE_FIX: &str =
    "write what the `aud` of its tokens holds, as in audience: https://orders.example, or a list";
pub(super) fn read(text: &str, around: &Around<'_>) -> Result<Idps, Mistakes> {
    if text.len() > MAX_FILE_SIZE {
        return Err(Mistakes::single(
            At { line: 1, column: 1 },
            "the file is larger than 256 KiB",
            "keep only `idps` in it",
        ));
    }
    let mut reader = Reader::new(around.folder, ());
    let mut idps = Idps::default();
    let root = yaml::read(text, Aliases::Followed).map_err(Mistakes::of_yaml)?;
    match root {
        Some(mut root) => {
            reader.expand(&mut root, around.variables);
            if reader.mistakes.is_empty() {
                idps.entries = reader.idps(&root, around);
            }
        }
        None => reader.mistake(
            At { line: 1, column: 1 },
            "the file has no entry",
            "list issuers below `idps`, or remove the file",
        ),
    }
    (idps.notes, idps.files) = reader.finish()?;
    Ok(idps)
}

// === impl Reader ===

impl Reader<'_> {
    fn idps(&mut self, root: &Node, around: &Around<'_>) -> Vec<Idp> {
        let Some(fields) = self.fields(root, "the file".to_owned(), &["idps"]) else {
            return Vec::new();
        };
        let Some(node) = self.required(
            &fields,
            "idps",
            "a list of issuers, as in idps: [{ name: corp, … }]",
        ) else {
            return Vec::new();
        };
        let nodes = self.list(node, "`idps`");
        if nodes.is_empty() || nodes.len() > MAX_IDPS {
            self.mistake(
                node.at(),
                "`idps` has no entry, or more than 64",
                "list the issuers of tokens that callers bring, or remove the file",
            );
        }
        let (mut idps, mut names) = (Vec::new(), HashSet::new());
        let (mut opaque, mut introspecting) = (Vec::new(), 0);
        for node in nodes {
            let Some((idp, says_opaque)) = self.idp(node, around, &mut names) else {
                continue;
            };
            introspecting += usize::from(idp.introspection_url.is_some());
            if says_opaque == Some(true) {
                opaque.push(node.at());
            }
            idps.push((idp, says_opaque));
        }
        for at in opaque.iter().skip(1) {
            self.mistake(
                *at,
                "a second entry has opaque: true, but an opaque token does not say who issued it",
                "leave it at one entry",
            );
        }
        let is_only = introspecting == 1;
        let decided = idps.into_iter().map(|(mut idp, says_opaque)| {
            idp.takes_opaque = idp.introspection_url.is_some() && says_opaque.unwrap_or(is_only);
            idp
        });
        decided.collect()
    }

    fn idp(
        &mut self,
        node: &Node,
        around: &Around<'_>,
        names: &mut HashSet<String>,
    ) -> Option<(Idp, Option<bool>)> {
        let before = self.mistakes.len();
        let mut fields = self.fields(node, "an entry of idps".to_owned(), &KEYS)?;
        let name = self
            .required(&fields, "name", "a name for logs, as in name: corp-orders")
            .and_then(|node| Some((node.at(), self.text(node, "name of an entry of idps")?)));
        if let Some((at, name)) = name {
            fields.what = format!("idp {}", shown(name));
            self.id(name, at, "an idp");
            if !names.insert(name.to_owned()) {
                self.mistake(
                    at,
                    format!("{} stands here twice", fields.what),
                    "give each entry its own name",
                );
            }
        }
        let what = fields.what.clone();
        let provider = match fields.get("provider") {
            None => name.map(|(_, name)| name.to_owned()),
            Some(node) => self.provider(node, &what),
        };
        let issuer = self
            .required(
                &fields,
                "issuer",
                "the `iss` of its tokens, as in issuer: https://idp.example",
            )
            .and_then(|node| self.issuer(node, &what, around.allow_http));
        let audiences = self
            .required(
                &fields,
                "audience",
                "the `aud` of its tokens, as in audience: https://orders.example",
            )
            .map(|node| self.audiences(node, &what));
        let jwks_url = self.endpoint(&fields, "jwks_url", around.allow_http);
        let introspection_url = self.endpoint(&fields, "introspection_url", around.allow_http);
        let token_url = self.endpoint(&fields, "token_url", around.allow_http);
        let introspects_all = self.introspects_all(&fields);
        let answers = match self.switch(&fields, "signed_introspection") {
            Some(true) => Answers::Signed,
            Some(false) | None => Answers::Json,
        };
        let says_opaque = self.switch(&fields, "opaque");
        let accepts_untyped = self.switch(&fields, "accept_untyped").unwrap_or(false);
        let exchanges = self.exchanges(&fields);
        let client = self.client(&fields, issuer.as_deref(), around.login_issuer, exchanges);
        for key in ["introspect", "signed_introspection", "opaque"] {
            if let Some(node) = fields.get(key)
                && fields.get("introspection_url").is_none()
            {
                self.mistake(
                    node.at(),
                    format!("{key} of {what} has no effect without introspection_url"),
                    "add introspection_url, or remove it",
                );
            }
        }
        if let Some(node) = fields.get("api_key") {
            self.mistake(
                node.at(),
                format!("{what} has the key `api_key`, which is not used here"),
                "remove it",
            );
        }
        let (roles, permissions) = self.mapping(&fields);
        let idp = Idp {
            name: name?.1.to_owned(),
            provider: provider?,
            issuer: issuer?,
            audiences: audiences?,
            jwks_url,
            introspection_url,
            introspects_all,
            answers,
            takes_opaque: false,
            accepts_untyped,
            exchange: exchanges.then(|| token_url.map_or(ExchangeAt::Metadata, ExchangeAt::Url)),
            client,
            roles: roles.unwrap_or_else(Source::of_roles),
            permissions: permissions.unwrap_or_else(Source::of_permissions),
        };
        (self.mistakes.len() == before).then_some((idp, says_opaque))
    }

    fn provider(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, &format!("provider of {what}"))?;
        if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            self.mistake(
                node.at(),
                format!("provider of {what} is {}", shown(text)),
                "write a short name, as in provider: corp",
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// An issuer identifier (RFC 8414 section 2), kept in its own spelling.
    fn issuer(&mut self, node: &Node, what: &str, allow_http: HttpPolicy) -> Option<String> {
        let text = self.text(node, &format!("issuer of {what}"))?;
        let url = self.url(node, text, &format!("issuer of {what}"), allow_http)?;
        if url.query().is_some() {
            self.mistake(
                node.at(),
                format!("issuer of {what} has a query"),
                "write it exactly as `iss` of the tokens and `issuer` of the metadata have it",
            );
            return None;
        }
        Some(text.to_owned())
    }

    fn endpoint(&mut self, fields: &Fields<'_>, key: &str, allow_http: HttpPolicy) -> Option<Url> {
        let node = fields.get(key)?;
        let what = format!("{key} of {}", fields.what);
        let text = self.text(node, &what)?;
        self.url(node, text, &what, allow_http)
    }

    fn url(&mut self, node: &Node, text: &str, what: &str, allow_http: HttpPolicy) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.fragment().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        let Some(url) = url else {
            // It may hold a password.
            self.mistake(
                node.at(),
                format!("{what} is no URL of http or https without a user and a fragment"),
                "write it as in https://idp.example/api/oidc",
            );
            return None;
        };
        if !allow_http.permits(&url) {
            self.mistake(
                node.at(),
                format!("{what} is plain http to another machine, where anybody on the way could answer"),
                "use https, or, within a network of containers, a name without a dot",
            );
            return None;
        }
        Some(url)
    }

    fn audiences(&mut self, node: &Node, what: &str) -> Vec<String> {
        let what = format!("audience of {what}");
        let texts = match &node.value {
            Value::List(list) if list.is_empty() || list.len() > MAX_IDPS => {
                self.mistake(
                    node.at(),
                    format!("{what} has no entry, or more than 64"),
                    AUDIENCE_FIX,
                );
                Vec::new()
            }
            Value::List(_) => self.texts(node, &what, AUDIENCE_FIX),
            _ => self
                .text(node, &what)
                .map(|text| (node.at(), text))
                .into_iter()
                .collect(),
        };
        for (at, text) in &texts {
            if text.is_empty() {
                self.mistake(*at, format!("{what} is empty"), AUDIENCE_FIX);
            }
        }
        texts.into_iter().map(|(_, text)| text.to_owned()).collect()
    }

    fn introspects_all(&mut self, fields: &Fields<'_>) -> bool {
        let Some(node) = fields.get("introspect") else {
            return false;
        };
        let what = format!("introspect of {}", fields.what);
        match self.text(node, &what) {
            Some("always") => true,
            Some("opaque") | None => false,
            Some(other) => {
                self.mistake(
                    node.at(),
                    format!("{what} is {}", shown(other)),
                    "write opaque (the default), or always, which asks about JWTs too",
                );
                false
            }
        }
    }

    fn switch(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        self.boolean(node, &format!("{key} of {}", fields.what))
    }

    fn exchanges(&mut self, fields: &Fields<'_>) -> bool {
        let exchanges = self.switch(fields, "enable_token_exchange").unwrap_or(false);
        if let Some(node) = fields.get("token_url")
            && !exchanges
        {
            self.note(
                node.at(),
                format!(
                    "token_url of {} has no effect without enable_token_exchange: true",
                    fields.what
                ),
                "add it, if routes with on_behalf_of take tokens of this issuer",
            );
        }
        exchanges
    }
}

#[cfg(test)]
mod tests;
