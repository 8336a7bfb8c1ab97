//! The JSON Schema of `idps.yaml`, for editors. The keys are those of the reader; what they mean together only the reader
//! knows.

use serde_json::{Map, Value, json};

use super::read::KEYS;

/// Values that hold `${NAME}`: what stands for it is only known at the start.
const EXPANDED: &str = "\\$\\{";

/// The schema (JSON Schema draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let properties: Map<String, Value> = KEYS
        .iter()
        .filter(|key| **key != "api_key")
        .map(|name| ((*name).to_owned(), key(name)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "idps.yaml of bff",
        "description": "Who issues the tokens that service clients bring to routes with auth: bearer (docs/bearer.md).",
        "type": "object",
        "properties": {
            "idps": {
                "type": "array",
                "minItems": 1,
                "maxItems": 64,
                "items": {
                    "type": "object",
                    "properties": properties,
                    "required": ["name", "issuer", "audience"],
                    "dependentRequired": {
                        "introspect": ["introspection_url"],
                        "signed_introspection": ["introspection_url"],
                        "opaque": ["introspection_url"],
                        "client_secret": ["client_id"],
                        "client_secret_file": ["client_id"],
                    },
                    "not": {"required": ["client_secret", "client_secret_file"]},
                    "additionalProperties": false,
                },
            },
        },
        "required": ["idps"],
        "additionalProperties": false,
        "$defs": {
            "expanded": {"type": "string", "pattern": EXPANDED},
            "text": {"type": ["string", "integer"], "minLength": 1},
            "sources": {
                "type": "array",
                "maxItems": 64,
                "items": {
                    "type": "object",
                    "properties": {
                        "source": {"type": "string", "minLength": 1},
                        "format": {"enum": ["list", "space_delimited"]},
                    },
                    "required": ["source"],
                    "additionalProperties": false,
                },
            },
        },
    })
}

fn key(name: &str) -> Value {
    match name {
        "name" => json!({
            "description": "A name for logs.",
            "type": ["string", "integer"],
            "pattern": format!("^[A-Za-z0-9._~-]{{1,64}}$|{EXPANDED}"),
        }),
        "provider" => {
            text("The middle of the names of its people (auth:account:PROVIDER:SUB); the name without it.")
        }
        "issuer" => url("iss of its tokens, letter by letter."),
        "audience" => json!({
            "description": "aud of its tokens holds this, or one of these.",
            "anyOf": [
                {"$ref": "#/$defs/text"},
                {"type": "array", "minItems": 1, "maxItems": 64, "items": {"$ref": "#/$defs/text"}},
            ],
        }),
        "jwks_url" => url("Its keys; from its metadata without it."),
        "introspection_url" => url("Where the server asks about its tokens (RFC 7662)."),
        "introspect" => json!({
            "description": "Which tokens the server asks about: opaque ones (opaque), or all of them (always).",
            "enum": ["opaque", "always"],
        }),
        "signed_introspection" => {
            switch("Whether answers about its tokens count only with its signature (RFC 9701).")
        }
        "opaque" => switch(
            "Whether opaque tokens are of this issuer; true without it if no other entry has introspection_url.",
        ),
        "accept_untyped" => switch("Whether JWTs without typ at+jwt are access tokens, too."),
        "token_url" => url("Where its tokens are exchanged; from its metadata without it."),
        "client_id" => text(
            "The client that asks about tokens and exchanges them; this server as the client of its logins without it.",
        ),
        "client_secret" => {
            text("Its secret, or file:PATH; without one, the keys of this server prove who it is.")
        }
        "client_secret_file" => text("The file of its secret, relative to this file."),
        "enable_token_exchange" => {
            switch("Whether routes with token_policy.mode on_behalf_of may exchange its tokens.")
        }
        "claims_mapping" => json!({
            "description": "The claims with roles and permissions.",
            "type": "object",
            "properties": {"roles": {"$ref": "#/$defs/sources"}, "permissions": {"$ref": "#/$defs/sources"}},
            "additionalProperties": false,
        }),
        _ => json!(true),
    }
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": ["string", "integer"], "minLength": 1})
}

fn url(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [{"type": "string", "pattern": "^https?://[^#@]+$"}, {"$ref": "#/$defs/expanded"}],
    })
}

fn switch(description: &str) -> Value {
    json!({
        "description": description,
        "anyOf": [{"enum": [true, false, "true", "false", "1", "0", 1, 0]}, {"$ref": "#/$defs/expanded"}],
    })
}
