//! The demands and limits of a route in words, for people who look at the table.

use super::{
    Route,
    limits::MaxBody,
    policy::{Rule, Test, Wanted},
};

// === impl Route ===

impl Route {
    /// Its demands beside those of `auth`: scopes, rules for claims, and the absence of the proof of origin.
    #[must_use]
    pub fn demands(&self) -> Vec<String> {
        let policy = self.policy();
        let scopes = policy.scopes.iter().map(|scope| format!("scope {scope}"));
        let rules = policy.rules.iter().map(in_words);
        let origin = (!policy.proves_origin).then(|| "any origin".to_owned());
        scopes.chain(rules).chain(origin).collect()
    }

    /// Its limits and those of its service, as far as the file names them.
    #[must_use]
    pub fn limits(&self) -> Vec<String> {
        let rates = &self.rate_limits;
        let rates = [
            (rates.per_address, "per address"),
            (rates.per_session, "per session"),
            (rates.per_route, "per route"),
        ];
        let rates = rates
            .into_iter()
            .filter_map(|(rate, of)| Some(format!("{} {of}", rate?)));
        let body = match self.max_body.or(self.service.max_body) {
            Some(MaxBody::Bytes(bytes)) => Some(format!("body of {bytes} bytes")),
            Some(MaxBody::Unlimited) => Some("body of any length".to_owned()),
            None => None,
        };
        let web_sockets = self.web_sockets.as_ref();
        let message = match web_sockets.and_then(|settings| settings.max_message) {
            Some(MaxBody::Bytes(bytes)) => Some(format!("message of {bytes} bytes")),
            Some(MaxBody::Unlimited) => Some("message of any length".to_owned()),
            None => None,
        };
        let idle = web_sockets.and_then(|settings| settings.idle);
        let idle = idle.map(|idle| format!("websocket silent for {idle:?}"));
        let calls = self.service.concurrency();
        let calls = calls.map(|calls| format!("{calls} calls at a time"));
        rates
            .chain(body)
            .chain(message)
            .chain(idle)
            .chain(calls)
            .collect()
    }
}

fn in_words(rule: &Rule) -> String {
    let (verb, wanted) = match &rule.test {
        Test::Equals(wanted) => ("is", std::slice::from_ref(wanted)),
        Test::AnyOf(wanted) => ("is any of", wanted.as_slice()),
        Test::Contains(wanted) => ("contains", wanted.as_slice()),
    };
    let wanted: Vec<String> = wanted.iter().map(text).collect();
    let of = if rule.of_token { "token." } else { "" };
    format!("{of}{} {verb} {}", rule.claim, wanted.join(" | "))
}

fn text(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Text(text) => text.clone(),
        Wanted::Bool(value) => value.to_string(),
    }
}
