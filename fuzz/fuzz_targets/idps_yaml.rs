//! `idps.yaml`: any text is read or refused, what was read keeps the rules of its keys, and no message shows the value of a
//! variable.

#![no_main]

use std::collections::HashSet;

use bff::{
    bearer::{Around, ExchangeAt, Idps},
    url_policy::HttpPolicy,
};
use libfuzzer_sys::fuzz_target;
use url::Url;

const SECRET: &str = "hunter2hunter2";
const LOGIN_ISSUER: &str = "https://login.example";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let around = Around {
        variables: &|_| Some(SECRET.to_owned()),
        folder: None,
        allow_http: HttpPolicy::LocalOnly,
        login_issuer: LOGIN_ISSUER,
    };
    let idps = match Idps::parse(text, &around) {
        Ok(idps) => idps,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty());
            assert!(
                text.contains(SECRET) || !message.contains(SECRET),
                "a message shows the value of a variable"
            );
            return;
        }
    };
    assert!(!idps.is_empty());
    let mut names = HashSet::new();
    for idp in idps.iter() {
        assert!(names.insert(&idp.name), "two entries have one name");
        assert!(!idp.audiences.is_empty() && idp.audiences.iter().all(|audience| !audience.is_empty()));
        let named = Url::parse(&idp.issuer);
        let token_url = match &idp.exchange {
            Some(ExchangeAt::Url(url)) => Some(url),
            Some(ExchangeAt::Metadata) | None => None,
        };
        let urls = [idp.jwks_url.as_ref(), idp.introspection_url.as_ref(), token_url];
        for url in urls.into_iter().flatten().chain(&named) {
            assert!(
                HttpPolicy::LocalOnly.permits(url),
                "a token could be seen on its way"
            );
        }
        let needs_client = idp.introspection_url.is_some() || idp.exchange.is_some();
        assert!(
            !needs_client || idp.client.is_some() || idp.issuer == LOGIN_ISSUER,
            "a client of another issuer is used"
        );
    }
    assert!(idps.iter().filter(|idp| idp.takes_opaque).count() <= 1);
});
