//! The JSON Schema of `routes.yaml`, for editors. The keys are those of the reader; what they mean together only the reader
//! knows.

use serde_json::{Map, Value, json};

use super::read::{POLICY_KEYS, Place, ROUTE_KEYS, SERVICE_KEYS, words_of_legacy};
use crate::credential::Mode;

/// Values that hold `${NAME}`: what stands for it is only known at the start.
const EXPANDED: &str = "\\$\\{";

/// The schema (JSON Schema draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "routes.yaml of bff",
        "description": "Which calls are passed on, and to which services (docs/gateway.md).",
        "type": ["object", "null"],
        "properties": {
            "services": {
                "type": ["object", "null"],
                "propertyNames": {"$ref": "#/$defs/id"},
                "additionalProperties": {
                    "type": "object",
                    "properties": properties(SERVICE_KEYS, service_key, words_of_legacy(Place::Service)),
                    "oneOf": [
                        {"required": ["base_url"], "not": {"required": ["fallback"]}},
                        {"required": ["files"], "propertyNames": {"enum": ["files", "fallback"]}},
                    ],
                    "additionalProperties": false,
                },
            },
            "routes": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "properties": properties(ROUTE_KEYS, route_key, words_of_legacy(Place::Route)),
                    "required": ["id", "path", "target_service"],
                    "additionalProperties": false,
                    "allOf": [
                        {"not": {
                            "properties": {"preserve_path": {"const": true}},
                            "required": ["preserve_path", "upstream_path"],
                        }},
                        {"not": {
                            "properties": {"auth": {"enum": ["none", "optional", "bearer"]}},
                            "required": ["auth", "unauthenticated"],
                        }},
                        {"not": {
                            "properties": {"auth": {"const": "bearer"}},
                            "required": ["auth", "csrf"],
                        }},
                        {"not": {
                            "properties": {"auth": {"enum": ["none", "optional"]}},
                            "required": ["auth"],
                            "anyOf": [{"required": ["required_scopes"]}, {"required": ["require"]}],
                        }},
                    ],
                },
            },
        },
        "additionalProperties": false,
        "$defs": definitions(),
    })
}

/// The keys of a map, and those of the original system that say what the server does anyway.
fn properties(
    keys: &[&str],
    of: fn(&str) -> Value,
    legacy: impl Iterator<Item = (&'static str, &'static [&'static str])>,
) -> Map<String, Value> {
    let mut properties: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), of(key))).collect();
    for (key, words) in legacy.filter(|(_, words)| !words.is_empty()) {
        let switches = words.iter().filter_map(|word| word.parse().ok()).map(Value::Bool);
        let values: Vec<Value> = words.iter().map(|word| json!(word)).chain(switches).collect();
        let property = json!({
            "deprecated": true,
            "description": "A key of the original file. This value is what the server does anyway.",
            "enum": values,
        });
        properties.insert(key.to_owned(), property);
    }
    properties
}

fn service_key(key: &str) -> Value {
    match key {
        "base_url" => or_expanded(
            "Scheme, host, perhaps port and path, as in http://crud:8080/v1; or a Unix socket, as in unix:/run/crud.sock.",
            &json!({"type": "string", "pattern": "^(https?://[^?#@]+|unix:(//)?/[^?#]*[^/?#])$"}),
        ),
        "files" => json!({
            "description": "A folder, relative to this file, whose files are the answers; in place of base_url.",
            "type": "string",
            "minLength": 1,
        }),
        "fallback" => json!({
            "description": "The file in the folder that answers if a person opens a page without a file; index.html without it, false for none.",
            "anyOf": [{"type": "boolean"}, {"type": "string", "pattern": format!("^([^./%\\\\][^/%\\\\]*)(/[^./%\\\\][^/%\\\\]*)*$|{EXPANDED}")}],
        }),
        "ca_file" => text("PEM file with certificates of authorities, relative to this file; for https."),
        "tls_verify" => json!({
            "description": "The name of ca_file in the original system; true, for the authorities of the system, has no effect.",
            "anyOf": [{"const": true}, {"type": "string", "not": {"enum": ["false", ""]}}],
        }),
        "client_cert_path" => text(
            "PEM file with the certificate, and its chain, by which the service knows this server, relative to this file; for https.",
        ),
        "client_key_path" => text("PEM file with the private key of client_cert_path."),
        "timeout" => json!({
            "description": "How long the service may take to begin its answer: 500ms, 30s, 2m; seconds without a unit; 30s without it. Or a map of times.",
            "anyOf": [
                {"$ref": "#/$defs/time"},
                {
                    "type": "object",
                    "properties": {
                        "connect": {"$ref": "#/$defs/time"},
                        "first_byte": {"$ref": "#/$defs/time"},
                        "idle": {"$ref": "#/$defs/time"},
                        "total": {"$ref": "#/$defs/time"},
                    },
                    "additionalProperties": false,
                },
            ],
        }),
        "h2c" => switch("Whether the service speaks HTTP/2 over plain TCP; for http."),
        "headers" => json!({
            "description": "Fields that are set in requests or removed from them, and fields of answers that pass although they are withheld otherwise.",
            "type": "object",
            "properties": {
                "set": {
                    "type": ["object", "null"],
                    "propertyNames": {"pattern": "^[A-Za-z0-9-]+$"},
                    "additionalProperties": {"type": ["string", "integer"]},
                },
                "remove": {"$ref": "#/$defs/fields"},
                "allow": {"$ref": "#/$defs/fields"},
            },
            "additionalProperties": false,
        }),
        "max_body" => max_body(),
        "breaker" => json!({
            "description": "The circuit breaker: after so many failures in a row, calls get 503 for a time, and then some of them try again.",
            "type": "object",
            "properties": {
                "threshold": count(1_000),
                "reset": {"$ref": "#/$defs/time"},
                "half_open": count(100),
            },
            "additionalProperties": false,
        }),
        "concurrency" => or_expanded("How many calls the service takes at a time.", &count(1_000_000)),
        "identity_headers" => {
            switch("Whether the service gets header fields that say who calls; false without it.")
        }
        "rewrite" => {
            switch("Whether URLs of the service in its answers become public ones; true without it.")
        }
        "token_audience" => text("The aud that tokens for this service must have."),
        "audience" => text("Another name of token_audience."),
        "scopes" => {
            json!({"$ref": "#/$defs/scopes", "description": "The scopes of tokens for this service."})
        }
        _ => json!(true),
    }
}

fn route_key(key: &str) -> Value {
    match key {
        "id" => json!({"$ref": "#/$defs/id", "description": "A name for logs."}),
        "description" => text("For people who read the file."),
        "path" => or_expanded(
            "An exact path, or one that ends with /* for all below it; {name} is any one segment.",
            &json!({"type": "string", "pattern": "^(/(\\{[A-Za-z_][A-Za-z0-9_]*\\}|[A-Za-z0-9._~-]*))+\\*?$"}),
        ),
        "host" => or_expanded(
            "The name of the only host to which the route applies; all hosts without it.",
            &json!({"type": "string", "pattern": "^[A-Za-z0-9._:\\[\\]-]+$"}),
        ),
        "target_service" => text("One of the services."),
        "upstream_path" => or_expanded(
            "The path at the service; {path} is what the * stands for, {name} is a parameter of the path.",
            &json!({"type": "string", "pattern": "^/"}),
        ),
        "methods" => json!({
            "description": "The methods that the route takes; all but OPTIONS without it.",
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [
                {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]},
                {"$ref": "#/$defs/expanded"},
            ]},
        }),
        "auth" => or_expanded(
            "session (without it, too): the caller is logged in, and the access token goes along. optional: so with a session, else as none. bearer: the caller brings an access token of its own. none: anybody.",
            &json!({"enum": ["session", "optional", "bearer", "none"]}),
        ),
        "required_scopes" => json!({
            "description": "Scopes that the access token must have.",
            "type": "array",
            "minItems": 1,
            "maxItems": 64,
            "items": {"type": ["string", "integer"], "pattern": format!("^[!#-\\[\\]-~]+$|{EXPANDED}")},
        }),
        "require" => json!({
            "description": "Rules for claims of the person; all of them must hold.",
            "type": "array",
            "minItems": 1,
            "maxItems": 64,
            "items": {
                "type": "object",
                "properties": {
                    "claim": {"type": "string", "minLength": 1},
                    "equals": {"$ref": "#/$defs/value"},
                    "any_of": {"$ref": "#/$defs/values"},
                    "contains": {"$ref": "#/$defs/values"},
                },
                "required": ["claim"],
                "minProperties": 2,
                "maxProperties": 2,
                "additionalProperties": false,
            },
        }),
        "csrf" => switch(
            "Whether a call that changes state must come from an origin of the application; false only with auth: none.",
        ),
        "cache_control" => text("Cache-Control of successful answers, in place of that of the service."),
        "security_headers" => {
            let field =
                json!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": "^[ -~]*[!-~][ -~]*$"}]});
            json!({
                "description": "Whether the files of a folder have fields that protect pages, or a map of those with other values.",
                "anyOf": [
                    {"enum": [true, false, "true", "false", "1", "0", 1, 0]},
                    {"$ref": "#/$defs/expanded"},
                    {
                        "type": "object",
                        "properties": {
                            "content_security_policy": field,
                            "frame_ancestors": field,
                            "permissions_policy": field,
                            "referrer_policy": field,
                            "strict_transport_security": field,
                        },
                        "additionalProperties": false,
                    },
                ],
            })
        }
        "streaming" => {
            switch("Whether answers are streams, such as server-sent events, which may be silent for long.")
        }
        "websocket" => json!({
            "description": "Whether the route takes WebSockets, or a map: token_subprotocol is the beginning of the subprotocol in which the token goes to the service, in place of Authorization; max_message the longest message in either direction; idle the time after which a silent WebSocket ends.",
            "anyOf": [
                {"enum": [true, false, "true", "false", "1", "0", 1, 0]},
                {
                    "type": "object",
                    "properties": {
                        "token_subprotocol": or_expanded(
                            "The beginning of the subprotocol, as in bearer.",
                            &json!({"type": "string", "pattern": "^[!#$%&'*+.^_`|~A-Za-z0-9-]{1,64}$"}),
                        ),
                        "max_message": size("The longest message in either direction; max_body without it."),
                        "idle": {"anyOf": [
                            {"type": ["integer", "string"], "minimum": 1, "maximum": 86_400, "pattern": "^[0-9]+(ms|s|m|h|d)?$"},
                            {"$ref": "#/$defs/expanded"},
                        ]},
                    },
                    "additionalProperties": false,
                },
                {"$ref": "#/$defs/expanded"},
            ],
        }),
        "unauthenticated" => or_expanded(
            "What a caller without a session gets: the way to the login, or 401.",
            &json!({"enum": ["login", "401", 401]}),
        ),
        "authz" => or_expanded(
            "Whether the policy decision point decides on each call: none. Decisions are not built yet.",
            &json!({"enum": ["none"]}),
        ),
        "authz_map" => authz_map(),
        "max_body" => max_body(),
        "rate_limit" => json!({
            "description": "How often the route may be called: per address, per session, altogether.",
            "type": "object",
            "properties": {
                "per_address": {"$ref": "#/$defs/rate"},
                "per_session": {"$ref": "#/$defs/rate"},
                "per_route": {"$ref": "#/$defs/rate"},
            },
            "minProperties": 1,
            "additionalProperties": false,
        }),
        "preserve_path" => switch("Whether the service gets the whole path as it came."),
        "encoded_path" => or_expanded(
            "Whether segments may hold %2F and %23; refuse without it.",
            &json!({"enum": ["refuse", "pass"]}),
        ),
        "token_policy" => json!({
            "description": "Which token goes to the service (docs/tokens-for-apis.md).",
            "type": "object",
            "properties": POLICY_KEYS
                .iter()
                .map(|key| ((*key).to_owned(), policy_key(key)))
                .collect::<Map<_, _>>(),
            "additionalProperties": false,
        }),
        _ => json!(true),
    }
}

fn policy_key(key: &str) -> Value {
    match key {
        "mode" => or_expanded(
            "session_passthrough (without it, too): the access token of the session. service_token: one of this server. on_behalf_of: one that is exchanged for that of the session.",
            &json!({"enum": Mode::ALL.map(Mode::word)}),
        ),
        "service" => text("The service whose audience and scopes count; target_service without it."),
        "audience" => text("The aud that the token must have; that of the service without it."),
        "scopes" => {
            json!({"$ref": "#/$defs/scopes", "description": "The scopes of the token; those of the service without it."})
        }
        "cache_ttl" => json!({
            "description": "How long the token is used at most.",
            "anyOf": [
                {"type": ["integer", "string"], "minimum": 1, "pattern": "^[0-9]+(ms|s|m|h|d)?$"},
                {"$ref": "#/$defs/expanded"},
            ],
        }),
        _ => json!(true),
    }
}

fn authz_map() -> Value {
    let name = json!({"type": ["string", "integer"], "pattern": format!("^[^*\\s]+$|{EXPANDED}")});
    json!({
        "description": "What the policy decision point is asked, by method.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"enum": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]},
        "additionalProperties": {
            "type": "object",
            "properties": {
                "resource": name,
                "action": name,
                "id_from": {"type": "string", "pattern": format!("^(\\{{[^{{}}]+\\}}|\\$\\..+)$|{EXPANDED}")},
                "props": {
                    "type": ["object", "null"],
                    "additionalProperties": {"type": ["string", "integer", "boolean"]},
                },
            },
            "required": ["resource", "action"],
            "additionalProperties": false,
        },
    })
}

fn max_body() -> Value {
    size(
        "The longest body of a request: 64KiB, 10MiB, bytes without a unit, or unlimited; 10MiB without it, except for streams.",
    )
}

fn size(description: &str) -> Value {
    or_expanded(
        description,
        &json!({"type": ["integer", "string"], "minimum": 0, "pattern": "^([0-9]+ *(KiB|MiB|GiB|TiB)?|unlimited)$"}),
    )
}

/// A whole number from 1 to `most`.
fn count(most: u32) -> Value {
    json!({"type": ["integer", "string"], "minimum": 1, "maximum": most, "pattern": format!("^[0-9]+$|{EXPANDED}")})
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": ["string", "integer"]})
}

fn switch(description: &str) -> Value {
    or_expanded(
        description,
        &json!({"enum": [true, false, "true", "false", "1", "0", 1, 0]}),
    )
}

fn or_expanded(description: &str, shape: &Value) -> Value {
    json!({"description": description, "anyOf": [shape, {"$ref": "#/$defs/expanded"}]})
}

fn definitions() -> Value {
    json!({
        "expanded": {"type": "string", "pattern": EXPANDED},
        "id": {"type": ["string", "integer"], "pattern": format!("^[A-Za-z0-9._~-]{{1,64}}$|{EXPANDED}")},
        "time": {"anyOf": [
            {"type": ["integer", "string"], "minimum": 1, "maximum": 3600, "pattern": "^[0-9]+(ms|s|m|h|d)?$"},
            {"$ref": "#/$defs/expanded"},
        ]},
        "rate": {"anyOf": [
            {"type": "string", "pattern": "^[0-9]+/[smhd]$"},
            {"$ref": "#/$defs/expanded"},
            {
                "type": "object",
                "properties": {
                    "rate": {"type": "string", "pattern": format!("^[0-9]+/[smhd]$|{EXPANDED}")},
                    "burst": count(1_000_000),
                },
                "required": ["rate"],
                "additionalProperties": false,
            },
        ]},
        "scopes": {"type": ["array", "string"], "maxItems": 64, "items": {"type": ["string", "integer"]}},
        "value": {"type": ["string", "integer", "boolean"]},
        "values": {"anyOf": [
            {"$ref": "#/$defs/value"},
            {"type": "array", "minItems": 1, "maxItems": 64, "items": {"$ref": "#/$defs/value"}},
        ]},
        "fields": {"type": "array", "items": {"type": "string", "pattern": format!("^[A-Za-z0-9-]*\\*?$|{EXPANDED}")}},
    })
}

#[cfg(test)]
mod tests;
