//! An entry of `services`.

use std::{path::PathBuf, time::Duration};

use http::uri::{Authority, Scheme};

use super::{
    super::{Service, service::Timeouts},
    legacy,
    mistakes::{Fields, Mistake, Reader, SHORTEST, shown},
};
use crate::{
    gateway::{NormalPath, headers::Rules},
    tls::{Bundle, read_bundle},
    url_policy::Reach,
    yaml::{Key, Node, Value},
};

/// The keys of an entry.
pub(in crate::gateway::routes) const KEYS: &[&str] = &[
    "base_url",
    "files",
    "fallback",
    "ca_file",
    "tls_verify",
    "client_cert_path",
    "client_key_path",
    "timeout",
    "h2c",
    "headers",
    "rewrite",
    "max_body",
    "breaker",
    "concurrency",
    "token_audience",
    "audience",
    "scopes",
    "identity_headers",
];

const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// The meaning of `base_url`.
struct Place {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
    /// The path of a Unix socket, on which the host is called `localhost`.
    socket: Option<PathBuf>,
}

/// The key that names certificate authorities.
fn authorities_key<'a>(fields: &Fields<'a>) -> Option<(&'static str, &'a Node)> {
    let own = fields.get("ca_file").map(|node| ("ca_file", node));
    let is_file = |node: &&Node| !says(node, "true") && !says(node, "false");
    own.or_else(|| Some(("tls_verify", fields.get("tls_verify").filter(is_file)?)))
}

/// Whether the value is this word, in quotes or not.
fn says(node: &Node, word: &str) -> bool {
    match &node.value {
        Value::Bool(value) => word == if *value { "true" } else { "false" },
        Value::Text(text) => text == word,
        Value::Null | Value::Unquoted | Value::List(_) | Value::Map(_) => false,
    }
}

/// Whether the service is on this machine, or has a name without a dot, as in a network of containers.
fn is_nearby(fields: &Fields<'_>) -> bool {
    let Some(Value::Text(text)) = fields.get("base_url").map(|node| &node.value) else {
        return false;
    };
    let Ok(mut url) = url::Url::parse(text) else {
        return false;
    };
    // The policy is that of plain http.
    url.set_scheme("http").is_ok() && matches!(Reach::of(&url), Some(Reach::Loopback | Reach::Dotless))
}

// === impl Timeouts ===

impl Timeouts {
    pub(in crate::gateway::routes) const DEFAULT: Self = Self {
        connect: None,
        first_byte: None,
        idle: None,
        total: None,
    };
}

// === impl Place ===

impl Place {
    fn of_socket(path: &str) -> Self {
        Self {
            scheme: Scheme::HTTP,
            authority: Authority::from_static("localhost"),
            base_path: String::new(),
            socket: Some(PathBuf::from(path)),
        }
    }
}

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn service(&mut self, key: &Key, node: &Node) -> Option<Service> {
        let fields = self.fields_of(
            Some(legacy::Place::Service),
            node,
            format!("service {}", shown(&key.name)),
            KEYS,
        );
        self.id(&key.name, key.at(), "a service");
        let fields = fields?;
        if let Some(folder) = fields.get("files") {
            return self.folder(&key.name, &fields, folder);
        }
        self.only_of_folders(&fields);
        let timeouts = match fields.get("timeout") {
            None => Some(Timeouts::DEFAULT),
            Some(node) => self.timeouts(node, &fields.what),
        };
        let h2c = match fields.get("h2c") {
            None => Some(false),
            Some(node) => self.boolean(node, &format!("h2c of {}", fields.what)),
        };
        let rules = match fields.get("headers") {
            None => Some(Rules::default()),
            Some(node) => self.headers(node, &fields.what),
        };
        let names_caller = match fields.get("identity_headers") {
            None => Some(false),
            Some(node) => self.boolean(node, &format!("identity_headers of {}", fields.what)),
        };
        let rewrite = match fields.get("rewrite") {
            None => Some(true),
            Some(node) => self.boolean(node, &format!("rewrite of {}", fields.what)),
        };
        let target = self.service_target(&key.name, &fields);
        let verifies = self.tls_verify(&fields);
        let max_body = self.max_body(&fields);
        let breaker = self.breaker(&fields);
        let concurrency = self.concurrency(&fields);
        let own_authorities = match authorities_key(&fields) {
            None => Some((verifies == Some(false)).then(Bundle::unchecked)),
            Some((key, node)) => self.ca_file(node, key, &fields.what).map(Some),
        };
        let base = self.required(
            &fields,
            "base_url",
            "the service's URL, as in base_url: http://crud:8080, or a folder, as in files: ./dist",
        );
        let Place {
            scheme,
            authority,
            base_path,
            socket,
        } = self.base_url(base?, &fields.what)?;
        let identity = self.identity(&fields, scheme == Scheme::HTTPS);
        if let Some((key, node)) = authorities_key(&fields)
            && scheme == Scheme::HTTP
        {
            self.mistake(
                node.at(),
                format!("{} has a {key}, and its base_url is http", fields.what),
                format!("write https in base_url, or remove {key}"),
            );
        }
        if let Some(node) = fields.get("h2c")
            && h2c == Some(true)
            && scheme == Scheme::HTTPS
        {
            self.mistake(
                node.at(),
                format!(
                    "{} has h2c: true, which is HTTP/2 without TLS, and its base_url is https",
                    fields.what
                ),
                "remove h2c: with https the service and this server agree on HTTP/2 by themselves",
            );
        }
        Some(Service {
            id: key.name.clone(),
            scheme,
            authority,
            base_path,
            timeouts: timeouts?,
            h2c: h2c?,
            rules: rules?,
            rewrite: rewrite?,
            target: target?,
            names_caller: names_caller?,
            own_authorities: verifies.and(own_authorities)?,
            max_body,
            breaker,
            concurrency,
            identity,
            socket,
            folder: None,
        })
    }

    fn base_url(&mut self, node: &Node, what: &str) -> Option<Place> {
        const FIX: &str =
            "write scheme, host and perhaps port and path, as in http://crud:8080/v1, or unix:/run/crud.sock";
        let text = self.text(node, &format!("base_url of {what}"))?;
        let mut wrong = |problem: String| {
            self.mistake(node.at(), format!("base_url of {what} {problem}"), FIX);
            None
        };
        if let Some(socket) = text.strip_prefix("unix:") {
            let path = socket.strip_prefix("//").unwrap_or(socket);
            if !path.starts_with('/') || path.ends_with('/') || path.contains(['?', '#', '\0']) {
                return wrong("names no socket: its path is absolute, and nothing follows it".to_owned());
            }
            return Some(Place::of_socket(path));
        }
        // The message quotes nothing: the text may contain a password.
        let Ok(url) = url::Url::parse(text) else {
            return wrong("is not an absolute URL".to_owned());
        };
        let scheme = match url.scheme() {
            "http" => Scheme::HTTP,
            "https" => Scheme::HTTPS,
            _ => return wrong("is neither http nor https, nor a socket".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("holds a user name or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has a query or a fragment".to_owned());
        }
        let Ok(authority) = Authority::try_from(&url[url::Position::BeforeHost..url::Position::AfterPort])
        else {
            return wrong("has no usable host".to_owned());
        };
        match NormalPath::parse(url.path()) {
            Ok(path) => {
                let base_path = path.as_str().strip_suffix('/').unwrap_or(path.as_str());
                Some(Place {
                    scheme,
                    authority,
                    base_path: base_path.to_owned(),
                    socket: None,
                })
            }
            Err(error) => wrong(format!("has an unusable path: {error}")),
        }
    }

    /// Checks `tls_verify`: `true`, or the name of a file, as in the original system; for a developer's own services also `false`,
    /// which trusts every certificate. Whether certificates are checked; `None` for a mistake.
    fn tls_verify(&mut self, fields: &Fields<'_>) -> Option<bool> {
        let Some(node) = fields.get("tls_verify") else {
            return Some(true);
        };
        let what = &fields.what;
        if says(node, "false") && self.given.unchecked && is_nearby(fields) && fields.get("ca_file").is_none()
        {
            self.note(
                node.at(),
                format!("tls_verify of {what} is false: anybody on the way could answer in its place"),
                "name its certificate in ca_file before others use this server",
            );
            return Some(false);
        }
        if says(node, "false") {
            self.mistake(
                node.at(),
                format!("tls_verify of {what} is false, so that anybody could answer in its place"),
                "name a file with the authority that signed its certificate, or with its own self-signed certificate, as in \
                 ca_file: corp-ca.pem",
            );
            return None;
        }
        if !says(node, "true") && fields.get("ca_file").is_some() {
            self.mistake(
                node.at(),
                format!("{what} has both ca_file and a file in tls_verify"),
                "keep ca_file",
            );
            return None;
        }
        Some(true)
    }

    /// Reads the certificates that a service may use in addition to those of the system's authorities.
    fn ca_file(&mut self, node: &Node, key: &str, what: &str) -> Option<Bundle> {
        const FIX: &str = "name a PEM file with certificates of authorities, or with the service's own self-signed one; a relative \
                           path begins in the folder of routes.yaml";
        let text = self.text(node, &format!("{key} of {what}"))?;
        let path = self.file(text);
        let mut wrong = |problem: &str| {
            self.mistakes.push(Mistake {
                at: node.at(),
                problem: format!("{key} {} of {what} {problem}", shown(text)),
                fix: FIX.to_owned(),
            });
            None
        };
        let Some(path) = path else {
            return wrong("cannot be read here");
        };
        let read = read_bundle(&path).and_then(|pem| Bundle::parse(&pem));
        match read {
            Ok(bundle) => Some(bundle),
            Err(error) => wrong(&error.to_string()),
        }
    }

    /// One time for the beginning of an answer, or a map of times.
    fn timeouts(&mut self, node: &Node, what: &str) -> Option<Timeouts> {
        if !matches!(node.value, Value::Map(_)) {
            let first_byte = self.timeout(node, &format!("timeout of {what}"))?;
            return Some(Timeouts {
                first_byte: Some(first_byte),
                ..Timeouts::DEFAULT
            });
        }
        let before = self.mistakes.len();
        let what = format!("timeout of {what}");
        let fields = self.fields(node, what.clone(), &["connect", "first_byte", "idle", "total"])?;
        let mut time = |key: &str| self.timeout(fields.get(key)?, &format!("{key} in {what}"));
        let timeouts = Timeouts {
            connect: time("connect"),
            first_byte: time("first_byte"),
            idle: time("idle"),
            total: time("total"),
        };
        (self.mistakes.len() == before).then_some(timeouts)
    }

    fn timeout(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let fix = "write 1ms to 1h, as in 30, 500ms, 30s or 2m";
        self.time(node, what, SHORTEST..=MAX_TIMEOUT, fix)
    }
}
