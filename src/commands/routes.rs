//! `bff routes list|match`: the routing table as the server reads it, and the route that decides on a request.

use std::path::PathBuf;

use clap::Subcommand;
use http::{Method, Uri};
use serde_json::{Value, json};

use super::{Exit, complain, complain_of, process, say};
use crate::{
    app::{App, RoutesWarning},
    credential::Mode,
    diagnostic::Diagnostic,
    gateway::{Auth, Found, Match, NormalPath, Route, Routes},
    own_paths,
};

const EXAMPLES: &str = "\
Examples:
  bff routes list
  bff routes match GET /api/orders/7
  bff routes match POST 'https://app.example/api/orders?x=y' --json

Exit codes: 0 done, 1 no route takes the request, 64 settings, routes.yaml or command line.";

/// The question about the routing table.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum RoutesCommand {
    /// List all routes in the order in which they decide.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show which route decides on a request, and what its service would get. Sends nothing.
    #[command(after_help = EXAMPLES)]
    Match {
        /// The method, as in GET.
        #[arg(value_parser = method)]
        method: Method,
        /// A path with its query, or a whole URL, whose host counts for routes with `host`.
        #[arg(value_parser = target)]
        url: Uri,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The fate of a request.
#[derive(Debug)]
enum Outcome<'a> {
    Route {
        matched: Match<'a>,
        sent: String,
    },
    /// A file of a folder, whether it exists or not.
    File {
        matched: Match<'a>,
        file: PathBuf,
    },
    /// A folder serves no file of this name.
    NoFile,
    /// The server answers by itself.
    Own,
    NoRoute,
    Method {
        allow: String,
    },
    Refused(String),
}

/// Methods are written in capitals, and people type them in any case.
fn method(text: &str) -> Result<Method, String> {
    let name = text.to_ascii_uppercase();
    Method::from_bytes(name.as_bytes()).map_err(|_| "write the method first, as in GET /api/x".to_owned())
}

fn target(text: &str) -> Result<Uri, String> {
    let has_scheme = ["http://", "https://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    if !text.starts_with('/') && !has_scheme {
        return Err(
            "a path begins with a slash, as in /api/x, and a URL with its scheme, as in https://app.example/api/x".to_owned(),
        );
    }
    let unfit = "write blanks and other special characters of a URL percent-encoded, as in %20";
    text.parse().map_err(|_| unfit.to_owned())
}

pub(super) fn run(command: RoutesCommand) -> Exit {
    let config = match process::settings() {
        Ok((config, _)) => config,
        Err(exit) => return exit,
    };
    let (routes, warnings) = match App::routes(&config) {
        Ok(found) => found,
        Err(error) => {
            complain_of(&error, &config);
            return Exit::Configuration;
        }
    };
    // A match is about one request; an empty table explains its outcome.
    let is_list = matches!(command, RoutesCommand::List { .. });
    let is_shown = |warning: &&RoutesWarning| {
        is_list || matches!(warning, RoutesWarning::NoFile(_) | RoutesWarning::NoRoutes(_))
    };
    let warnings = warnings.iter().filter(is_shown);
    let warnings: Vec<String> = warnings
        .map(|warning| Diagnostic::of(warning, &config.names).to_string())
        .collect();
    if !matches!(command, RoutesCommand::List { json: true }) {
        for warning in &warnings {
            complain(&format!("warning: {warning}"));
        }
    }
    match command {
        RoutesCommand::List { json: true } => {
            let all: Vec<Value> = routes.iter().map(described).collect();
            say(&format!("{:#}", json!({ "routes": all, "warnings": warnings })));
            Exit::Success
        }
        RoutesCommand::List { json: false } => {
            say(list(&routes).trim_end());
            Exit::Success
        }
        RoutesCommand::Match { method, url, json } => {
            let path = NormalPath::parse_encoded(url.path());
            let outcome = match &path {
                Ok(path) => decide(&routes, &method, &url, path),
                Err(error) => Outcome::Refused(error.to_string()),
            };
            say(&if json {
                format!("{:#}", outcome.json(&method))
            } else {
                outcome.text(&method)
            });
            match outcome {
                Outcome::Route { .. } | Outcome::File { .. } | Outcome::Own => Exit::Success,
                Outcome::NoRoute | Outcome::NoFile | Outcome::Method { .. } | Outcome::Refused(_) => {
                    Exit::Unhealthy
                }
            }
        }
    }
}

/// The same steps as those of the server.
fn decide<'a>(routes: &'a Routes, method: &Method, url: &Uri, path: &'a NormalPath) -> Outcome<'a> {
    if own_paths::is_own(path.as_str()) {
        return Outcome::Own;
    }
    match routes.find(url.host().unwrap_or_default(), path, method) {
        Found::Match(matched) if matched.route.service().folder().is_some() => match matched.file() {
            Some(file) => Outcome::File { matched, file },
            None => Outcome::NoFile,
        },
        Found::Match(matched) => match matched.sent(url.query()) {
            Some(sent) => Outcome::Route { matched, sent },
            None => Outcome::Refused("the service cannot have this address".to_owned()),
        },
        Found::NotFound if own_paths::yields_to_routes(path.as_str()) => Outcome::Own,
        Found::NotFound => Outcome::NoRoute,
        Found::MethodNotAllowed { allow } => Outcome::Method {
            allow: allow.to_str().unwrap_or_default().to_owned(),
        },
        Found::Refused(error) => Outcome::Refused(error.to_string()),
    }
}

fn list(routes: &Routes) -> String {
    if routes.is_empty() {
        return "no routes".to_owned();
    }
    let mut rows = vec![
        [
            "ID",
            "AUTH",
            "METHODS",
            "PATH",
            "SERVICE",
            "WEBSOCKET",
            "DEMANDS",
            "LIMITS",
            "DESCRIPTION",
        ]
        .map(str::to_owned),
    ];
    rows.extend(routes.iter().map(|route| {
        [
            route.id().to_owned(),
            route.auth().word().to_owned(),
            route.methods(),
            route.place(),
            route.service().id().to_owned(),
            if route.takes_web_sockets() { "yes" } else { "" }.to_owned(),
            route.demands().join(", "),
            route.limits().join(", "),
            route.description().to_owned(),
        ]
    }));
    let mut widths = [0; 9];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter().fold(String::new(), |text, row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        text + cells.collect::<Vec<_>>().join("  ").trim_end() + "\n"
    })
}

fn described(route: &Route) -> Value {
    json!({
        "id": route.id(),
        "description": route.description(),
        "auth": route.auth().word(),
        "methods": route.methods().split(", ").collect::<Vec<_>>(),
        "host": route.host(),
        "path": route.place(),
        "service": route.service().id(),
        "websocket": route.takes_web_sockets(),
        "demands": route.demands(),
        "limits": route.limits(),
    })
}

/// The token that goes along, without its value.
fn token(route: &Route) -> String {
    let policy = route.tokens();
    let is_bearer = route.auth() == Auth::Bearer;
    let which = match policy.mode {
        _ if policy.is_own_token() && is_bearer => "the access token that the caller brings",
        _ if policy.is_own_token() => "the access token of the session",
        Mode::SessionPassthrough => "a token of the session",
        Mode::ServiceToken => "a token of this server",
        Mode::OnBehalfOf if is_bearer => "a token that is exchanged for that of the caller",
        Mode::OnBehalfOf => "a token that is exchanged for that of the session",
    };
    let target = &policy.target;
    let audience = target
        .audience
        .as_ref()
        .map(|audience| format!(" for {audience}"));
    let scopes = (!target.scopes.is_empty()).then(|| format!(" with {}", target.scope()));
    let which = [Some(which.to_owned()), audience, scopes]
        .into_iter()
        .flatten()
        .collect::<String>();
    match route.auth() {
        Auth::Session => format!("{which}; without a session nothing is sent"),
        Auth::Optional => format!("{which}, if there is one"),
        Auth::Bearer => format!("{which}, after its check"),
        Auth::None => "no token".to_owned(),
    }
}

fn described_token(route: &Route) -> Value {
    let policy = route.tokens();
    if route.auth() == Auth::None || route.auth() == Auth::Bearer && policy.is_own_token() {
        return Value::Null;
    }
    json!({
        "mode": policy.mode.word(),
        "audience": policy.target.audience,
        "scopes": policy.target.scopes,
    })
}

/// The people who get a file.
const fn audience(auth: Auth) -> &'static str {
    match auth {
        Auth::Session => "people with a session",
        Auth::Bearer => "callers with an access token",
        Auth::Optional | Auth::None => "everyone",
    }
}

// === impl Outcome ===

impl Outcome<'_> {
    fn text(&self, method: &Method) -> String {
        match self {
            Self::Route { matched, sent } => format!(
                "route    {} ({})\nservice  {}\nsent     {method} {sent}\nwith     {}",
                matched.route.id(),
                matched.route.place(),
                matched.route.service().id(),
                token(matched.route),
            ),
            Self::File { matched, file } => format!(
                "route    {} ({})\nservice  {}\nfile     {}\nfor      {}",
                matched.route.id(),
                matched.route.place(),
                matched.route.service().id(),
                file.display(),
                audience(matched.route.auth()),
            ),
            Self::Own => "the server answers this path by itself; no route applies".to_owned(),
            Self::NoFile => "404: no file with a hidden name is served".to_owned(),
            Self::NoRoute => "404: no route has this path".to_owned(),
            Self::Method { allow } => {
                format!("405: the most specific route of this path does not take {method}, only {allow}")
            }
            Self::Refused(reason) => format!("400: {reason}"),
        }
    }

    fn json(&self, method: &Method) -> Value {
        match self {
            Self::Route { matched, sent } => json!({
                "outcome": "route",
                "route": described(matched.route),
                "sent": { "method": method.as_str(), "url": sent, "token": described_token(matched.route) },
            }),
            Self::File { matched, file } => json!({
                "outcome": "route",
                "route": described(matched.route),
                "file": file.display().to_string(),
            }),
            Self::Own => json!({ "outcome": "own" }),
            Self::NoFile | Self::NoRoute => json!({ "outcome": "not_found", "status": 404 }),
            Self::Method { allow } => {
                json!({ "outcome": "method_not_allowed", "status": 405, "allow": allow })
            }
            Self::Refused(reason) => json!({ "outcome": "refused", "status": 400, "reason": reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "
services:
  crud: { base_url: 'http://crud:8080/v1' }
routes:
  - { id: star, path: '/api/*', target_service: crud, auth: optional, websocket: { max_message: 64KiB, idle: 10m } }
  - { id: order, description: one order, path: '/api/orders/{id}', target_service: crud, upstream_path: '/o/{id}', methods: [GET], required_scopes: [orders.read], require: [{ claim: roles, contains: [a, b] }], rate_limit: { per_session: 20/s }, max_body: 1MiB }
  - { id: admin, host: admin.example, path: '/api/*', target_service: crud, auth: none }
";

    fn asked(method: &str, url: &str) -> (String, Value) {
        asked_of(ROUTES, method, url)
    }

    fn asked_of(routes: &str, method: &str, url: &str) -> (String, Value) {
        let routes = Routes::parse(routes).unwrap();
        let (method, url): (Method, Uri) = (method.parse().unwrap(), url.parse().unwrap());
        let path = NormalPath::parse_encoded(url.path()).unwrap();
        let outcome = decide(&routes, &method, &url, &path);
        (outcome.text(&method), outcome.json(&method))
    }

    #[test]
    fn a_list_has_the_order_in_which_routes_decide() {
        let routes = Routes::parse(ROUTES).unwrap();
        let all = "GET, HEAD, POST, PUT, PATCH, DELETE";
        let expected = format!(
            "ID     AUTH      METHODS                              PATH                 SERVICE  WEBSOCKET  DEMANDS                                  LIMITS                                             DESCRIPTION
order  session   GET, HEAD                            /api/orders/{{id}}     crud                scope orders.read, roles contains a | b  20/s per session, body of 1048576 bytes            one order
admin  none      {all}  admin.example/api/*  crud
star   optional  {all}  /api/*               crud     yes                                                 message of 65536 bytes, websocket silent for 600s
"
        );
        assert_eq!(list(&routes), expected);
        assert_eq!(list(&Routes::default()), "no routes");
    }

    #[test]
    fn a_match_says_what_the_service_would_get() {
        let (text, json) = asked("GET", "/api/orders/7?x=y");
        assert_eq!(
            text,
            "route    order (/api/orders/{id})\nservice  crud\nsent     GET http://crud:8080/v1/o/7?x=y\nwith     the access \
             token of the session; without a session nothing is sent"
        );
        assert_eq!(json["sent"]["url"], "http://crud:8080/v1/o/7?x=y");
        assert_eq!(json["route"]["id"], "order");
        let demands = ["scope orders.read", "roles contains a | b"];
        assert_eq!(json["route"]["demands"], json!(demands));
        assert_eq!(json["sent"]["token"]["mode"], "session_passthrough");
        let routes = "
services:
  bills: { base_url: 'http://bills', token_audience: urn:bills, scopes: [b, a] }
routes:
  - { id: bills, path: /bills, target_service: bills, token_policy: { mode: service_token } }
";
        let (text, json) = asked_of(routes, "GET", "/bills");
        assert!(
            text.ends_with(
                "with     a token of this server for urn:bills with a b; without a session nothing is sent"
            ),
            "{text}"
        );
        let token = json!({ "mode": "service_token", "audience": "urn:bills", "scopes": ["a", "b"] });
        assert_eq!(json["sent"]["token"], token);
        for (policy, with, mode) in [
            (
                "",
                "the access token that the caller brings, after its check",
                Value::Null,
            ),
            (
                ", token_policy: { mode: on_behalf_of }",
                "a token that is exchanged for that of the caller for urn:bills with a b, after its check",
                json!("on_behalf_of"),
            ),
            (
                ", token_policy: { mode: service_token }",
                "a token of this server for urn:bills with a b, after its check",
                json!("service_token"),
            ),
        ] {
            let routes = routes.replace(", token_policy: { mode: service_token }", policy);
            let routes = routes.replace("path: /bills,", "path: /bills, auth: bearer,");
            let (text, json) = asked_of(&routes, "GET", "/bills");
            assert!(text.ends_with(&format!("with     {with}")), "{text}");
            assert_eq!(json["sent"]["token"]["mode"], mode);
        }
        assert_eq!(
            asked("POST", "https://admin.example/api/x").1["sent"]["token"],
            Value::Null
        );
        for (method, url, expected) in [
            ("POST", "https://app.example/api/x", "star (/api/*)"),
            (
                "POST",
                "https://admin.example:8443/api/x",
                "admin (admin.example/api/*)",
            ),
        ] {
            let (text, _) = asked(method, url);
            assert!(text.starts_with(&format!("route    {expected}\n")), "{text}");
        }
    }

    #[test]
    fn a_match_with_a_folder_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dist")).unwrap();
        let around = crate::gateway::Around {
            variables: &|_| None,
            folder: Some(folder.path()),
            private: &crate::gateway::Private::default(),
            unchecked: false,
            tokens: &crate::gateway::TokenDefaults::NONE,
        };
        let yaml = "services: { page: { files: dist } }\nroutes: [{ id: page, path: /*, target_service: page, auth: none }]\n";
        let routes = Routes::parse_with(yaml, &around).unwrap();
        let asked = |url: &str| {
            let url: Uri = url.parse().unwrap();
            let path = NormalPath::parse_encoded(url.path()).unwrap();
            let outcome = decide(&routes, &Method::GET, &url, &path);
            (outcome.text(&Method::GET), outcome.json(&Method::GET))
        };
        let (text, json) = asked("/docs/?x");
        let file = folder.path().join("dist/docs/index.html").display().to_string();
        let expected = format!("route    page (/*)\nservice  page\nfile     {file}\nfor      everyone");
        assert_eq!(text, expected);
        assert_eq!((&json["outcome"], &json["file"]), (&json!("route"), &json!(file)));
        let (text, json) = asked("/.env");
        assert_eq!(text, "404: no file with a hidden name is served");
        assert_eq!(json["outcome"], "not_found");
    }

    #[test]
    fn what_is_neither_a_path_nor_a_url_explains_itself() {
        for text in ["api/x", "app.example/api/x", "x", "", "ftp://app.example/x"] {
            let said = target(text).unwrap_err();
            assert!(said.contains("as in /api/x"), "{text}: {said}");
        }
        assert!(target("/a b").unwrap_err().contains("%20"));
        for text in ["/api/x?y=z", "https://app.example/x", "http://app.example"] {
            assert!(target(text).is_ok(), "{text}");
        }
        assert_eq!(method("get"), Ok(Method::GET));
        assert!(method("/api/x").unwrap_err().contains("the method first"));
    }

    #[test]
    fn a_request_without_a_route_has_its_status() {
        for (method, url, expected, outcome) in [
            ("GET", "/x", "404: no route", "not_found"),
            (
                "PUT",
                "/api/orders/7",
                "405: the most specific",
                "method_not_allowed",
            ),
            (
                "GET",
                "/api/Orders/7",
                "400: the path is another spelling",
                "refused",
            ),
            ("GET", "/auth/login", "the server answers", "own"),
        ] {
            let (text, json) = asked(method, url);
            assert!(text.starts_with(expected), "{text}");
            assert_eq!(json["outcome"], outcome);
        }
    }
}
