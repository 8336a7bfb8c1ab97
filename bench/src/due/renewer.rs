//! The pieces of a server that renew tokens, over sessions in memory, which no other process could store for it.

use std::{sync::Arc, time::Duration};

use bff::{
    clock::{SharedClock, SystemClock},
    instruments::Tally,
    jose::Algorithm,
    keys::{KeyKind, Keys},
    oidc::{
        Client, ClientAuthentication, ClientSlot, EndpointOverrides, Options, ProviderOptions, RelyingParty,
    },
    outbound::{self, LaneLimits, Outbound},
    random::{SharedRandom, SystemRandom},
    seal::Sealer,
    session::{Lifespan, MemoryStore, Sessions},
    tokens::{self, Tokens},
    url_policy::HttpPolicy,
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Result,
        sessions::{fill, limits},
        start::Store,
    },
    CONCURRENCY, due_from, storing_takes,
};

/// Renews the tokens of `count` sessions at the provider on `port`, until it is stopped.
pub(in super::super) async fn renew(port: u16, count: usize) -> Result<()> {
    let issuer = format!("http://127.0.0.1:{port}");
    let clock: SharedClock = Arc::new(SystemClock);
    let random: SharedRandom = Arc::new(SystemRandom);
    let tally = Tally::default();
    let outbound = Outbound::new(
        &outbound::Options {
            lanes: LaneLimits {
                refresh: CONCURRENCY,
                ..LaneLimits::default()
            },
            ..outbound::Options::default()
        },
        Arc::clone(&clock),
    )?;
    let client = ClientSlot::new();
    client.set(Client {
        id: "bench".to_owned(),
        auth: ClientAuthentication::PrivateKeyJwt {
            algorithm: Algorithm::RS256,
        },
    });
    let relying_party = RelyingParty::new(
        Options::new(ProviderOptions {
            issuer: issuer.clone(),
            base_url: None,
            public_base: None,
            overrides: EndpointOverrides::default(),
            allow_http: HttpPolicy::LocalOnly,
        }),
        outbound,
        client,
        Keys::throwaway(KeyKind::Rsa2048)?,
        Arc::clone(&clock),
        Arc::clone(&random),
    );
    relying_party.provider().discover().await?;
    let sealer = Sealer::new(&[Store::SECRET], Arc::clone(&random))?;
    let store = MemoryStore::new(Lifespan::default(), Arc::clone(&clock));
    let sessions = Sessions::new(
        Arc::new(store),
        limits(),
        sealer,
        Arc::clone(&clock),
        Arc::clone(&random),
        &tally,
    );
    let start = clock.now().saturating_add(storing_takes(count));
    fill(&sessions, count, &|number| {
        due_from(&issuer, number, start, Duration::ZERO)
    })
    .await?;
    let options = tokens::Options {
        concurrency: CONCURRENCY,
        ..tokens::Options::default()
    };
    let tokens = Tokens::new(options, relying_party, sessions, clock, random, &tally);
    tokens.run(CancellationToken::new()).await;
    Ok(())
}
