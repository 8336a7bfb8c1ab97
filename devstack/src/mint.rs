//! Minting an initial access token the way an operator does: through the IdP's admin API.

use serde_json::{Value, json};

/// Requests an initial access token from the IdP at `issuer`, valid for one registration within ten minutes.
pub(crate) async fn initial_access_token(
    issuer: &str,
    admin_token: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let answer = client()?
        .post(format!("{issuer}/api/admin/dcr/initial-access-tokens"))
        .bearer_auth(admin_token)
        .header("content-type", "application/json")
        .body(json!({ "label": "devstack", "expires_in": 600, "max_uses": 1 }).to_string())
        .send()
        .await?;
    let status = answer.status();
    let body: Value = serde_json::from_slice(&answer.bytes().await?)?;
    match body["token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => Err(format!("the IdP minted no initial access token: {status}").into()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the development stack is not the server, whose rules these are"
)]
fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().no_proxy().build()
}
