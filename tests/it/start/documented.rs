//! The examples of the original documentation for services, routes and issuers: a server starts with all of them together.

use std::fs;

use bff::app::StartError;

use crate::support::{Builder, Reply, Stack, http_client, told};

/// Services and routes.
const ROUTES: &str = include_str!("documented/routes.yaml");
/// Issuers.
const IDPS: &str = include_str!("documented/idps.yaml");

const CA: &[u8] = include_bytes!("../../../src/tls/testing/client-ca.pem");
const CLIENT: &[u8] = include_bytes!("../../../src/tls/testing/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("../../../src/tls/testing/client.key");

/// The keys that ask for decisions, as the example has them.
const DECISIONS: [&str; 5] = [
    ", authz: pdp, authz_map: { GET: { resource: order_feed, action: read } }",
    "    authz: pdp\n",
    "    authz_map:\n",
    "      GET: { resource: order, action: read, id_from: \"{order_id}\" }\n",
    "      PATCH: { resource: order, action: update, id_from: \"{order_id}\", props: { state: \"$.state\", channel: web } }\n",
];

/// The routes without those keys.
fn without_decisions() -> String {
    DECISIONS.into_iter().fold(ROUTES.to_owned(), |text, part| {
        assert!(text.contains(part), "{part:?}");
        text.replace(part, "")
    })
}

/// A stack with these routes and the documented issuers. The files that they name are in a folder of this machine in place
/// of the folders of the documented container.
fn builder(routes: &str) -> Builder {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    fs::create_dir_all(files.join("ca")).unwrap();
    fs::write(files.join("ca/internal.pem"), CA).unwrap();
    fs::write(files.join("bff-tls.crt"), CLIENT).unwrap();
    bff::private_file::replace(&files.join("bff-tls.key"), CLIENT_KEY).unwrap();
    let files = files.display().to_string();
    let routes = routes
        .replace("/app/config", &files)
        .replace("/run/secrets", &files);
    Stack::builder()
        .in_folder(folder)
        .routes(&routes)
        .idps(IDPS)
        .set("IDP_CLIENT_SECRET", "hunter2-hunter2")
        // A scope of the example, for which the client registers.
        .idp(|options| options.dcr.policy.allowed_scopes.push("orders.write".to_owned()))
}

#[tokio::test]
async fn the_documented_files_start_together() {
    let stack = builder(&without_decisions()).start().await;
    let get = async |path: &str| {
        let request = http_client().get(format!("http://{}{path}", stack.address));
        Reply::read(request.send().await.unwrap()).await
    };
    for (path, expected) in [
        ("/api/orders/feed", (401, "unauthenticated".to_owned())),
        ("/api/orders/7", (401, "unauthenticated".to_owned())),
        ("/m2m/orders/7", (401, "token_required".to_owned())),
        ("/access/v1/evaluation", (405, "method_not_allowed".to_owned())),
        ("/api/other", (404, "not_found".to_owned())),
    ] {
        assert_eq!(get(path).await.refusal(), expected, "{path}");
    }
    // Only the documented issuer is trusted.
    let metadata = get("/.well-known/oauth-protected-resource").await;
    assert_eq!(
        metadata.json()["authorization_servers"],
        serde_json::json!(["https://idp.example/api/oidc"])
    );
}

#[tokio::test]
async fn the_documented_decisions_are_refused_by_name() {
    let stack = builder(ROUTES).without_server().start_without_waiting().await;
    let error = stack.app().await.unwrap_err();
    let StartError::Routes { error: mistakes, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(mistakes.mistakes().len(), 2, "{error}");
    let text = told(&error);
    for (line, route) in [(15, "order-feed"), (27, "order-one")] {
        let part = format!("routes.yaml: line {line}, column ");
        assert!(text.contains(&part), "{part} in {text}");
        let part =
            format!("authz of route `{route}` asks for authorization decisions, which are not built yet");
        assert!(text.contains(&part), "{part} in {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
