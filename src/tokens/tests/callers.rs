//! Tokens that are exchanged for those of callers.

use std::sync::atomic::AtomicUsize;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::{
    clock::Timestamp,
    credential::{Mode, Target, TokenPolicy},
    oidc::{Exchange, IssueError, Issued},
    secret::Secret,
};

/// The life of the tokens of the test.
const LIFE: Duration = Duration::from_mins(10);

/// An issuer that names in each token the one that it was exchanged for.
#[derive(Clone, Default)]
struct Issuer {
    settings: u64,
    exchanged: Arc<AtomicUsize>,
    /// Answers wait for it.
    gate: Option<Arc<Notify>>,
    /// The next answers are refusals.
    refuses: Arc<Mutex<bool>>,
}

impl Exchange for Issuer {
    fn settings(&self) -> u64 {
        self.settings
    }

    async fn exchange(&self, subject: &Secret, target: &Target) -> Result<Issued, IssueError> {
        let number = self.exchanged.fetch_add(1, Ordering::Relaxed);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if *self.refuses.lock() {
            return Err(IssueError::LessScope);
        }
        let audience = target.audience.as_deref().unwrap_or_default();
        let token = format!("{}.{audience}.{number}", subject.expose());
        Ok(Issued {
            access_token: token.into(),
            expires_in: LIFE,
        })
    }
}

impl Issuer {
    fn count(&self) -> usize {
        self.exchanged.load(Ordering::Relaxed)
    }
}

fn policy(audience: &str) -> TokenPolicy {
    let target = Target::new(Some(audience.to_owned()), Vec::new());
    TokenPolicy::new(Mode::OnBehalfOf, "orders", target, None)
}

async fn ask(
    tokens: &Tokens,
    issuer: &Issuer,
    token: &str,
    until: Option<Timestamp>,
    policy: &TokenPolicy,
) -> Result<String, CredentialError> {
    let token = Secret::from(token);
    let brought = Brought {
        token: &token,
        expires_at: until,
        exchange: issuer,
    };
    let credential = tokens.credential_of_caller(policy, &brought).await?;
    let mut headers = http::HeaderMap::new();
    credential.apply(&mut headers);
    let value = headers[http::header::AUTHORIZATION].to_str().unwrap();
    Ok(value.strip_prefix("Bearer ").unwrap().to_owned())
}

#[tokio::test]
async fn attack_12_a_token_is_of_one_caller_target_and_reading() {
    let tokens = Harness::with(4).await.tokens;
    let issuer = Issuer::default();
    let other = Issuer {
        settings: 1,
        ..issuer.clone()
    };
    for (from, token, audience, expected) in [
        (&issuer, "a", "x", "a.x.0"),
        (&issuer, "a", "y", "a.y.1"),
        (&issuer, "b", "x", "b.x.2"),
        (&other, "a", "x", "a.x.3"),
        (&issuer, "a", "x", "a.x.0"),
        (&issuer, "b", "x", "b.x.2"),
        (&other, "a", "x", "a.x.3"),
    ] {
        let found = ask(&tokens, from, token, None, &policy(audience)).await;
        assert_eq!(found.unwrap(), expected);
    }
    let mut narrower = policy("x");
    narrower.target.scopes.push("orders.read".to_owned());
    assert_eq!(
        ask(&tokens, &issuer, "a", None, &narrower).await.unwrap(),
        "a.x.4"
    );
    assert_eq!(issuer.count(), 5);
}

#[tokio::test]
async fn calls_with_the_same_token_wait_for_one_exchange() {
    let tokens = Harness::with(4).await.tokens;
    let gate = Arc::new(Notify::new());
    let issuer = Issuer {
        gate: Some(Arc::clone(&gate)),
        ..Issuer::default()
    };
    let policy = policy("x");
    let mut calls: Vec<_> = (0..50)
        .map(|_| Box::pin(ask(&tokens, &issuer, "a", None, &policy)))
        .collect();
    for call in &mut calls {
        assert!(futures_util::poll!(call).is_pending());
    }
    // A caller that hangs up stops nothing.
    drop(calls.remove(0));
    gate.notify_one();
    for call in calls {
        assert_eq!(call.await.unwrap(), "a.x.0");
    }
    assert_eq!(issuer.count(), 1);
}

/// Both ends count, the earlier one first.
#[tokio::test]
async fn an_exchanged_token_ends_with_the_first_of_the_two() {
    let Harness { tokens, clock, .. } = Harness::with(4).await;
    let (issuer, policy) = (Issuer::default(), policy("x"));
    let caller_until = Some(clock.now().saturating_add(Duration::from_mins(4)));
    let get = async || ask(&tokens, &issuer, "a", caller_until, &policy).await.unwrap();
    assert_eq!(get().await, "a.x.0");
    clock.advance(Duration::from_secs(239));
    assert_eq!(get().await, "a.x.0", "another would end then too");
    clock.advance(Duration::from_secs(1));
    assert_eq!(get().await, "a.x.1");
    // Without the end of the caller's token, that of the issued one counts.
    let get = async || ask(&tokens, &issuer, "b", None, &policy).await.unwrap();
    assert_eq!(get().await, "b.x.2");
    *issuer.refuses.lock() = true;
    clock.advance(LIFE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(
        get().await,
        "b.x.2",
        "it is renewed ahead, for which no call waits"
    );
    clock.advance(Duration::from_secs(1));
    let over = ask(&tokens, &issuer, "b", None, &policy).await;
    assert!(matches!(over, Err(CredentialError::Refused("invalid_scope"))));
}

#[tokio::test]
async fn a_flood_of_tokens_is_kept_within_bounds() {
    let tokens = Harness::with(4).await.tokens;
    let (issuer, policy) = (Issuer::default(), policy("x"));
    for number in 0..11_000 {
        let token = format!("token-{number}");
        ask(&tokens, &issuer, &token, None, &policy).await.unwrap();
    }
    assert!(tokens.inner.exchanged.count() <= 10_000);
    let shown = format!("{:?}", tokens.inner.exchanged);
    assert!(!shown.contains("token-"), "{shown}");
}

#[tokio::test]
async fn a_stop_waits_for_an_exchange_and_begins_none() {
    let tokens = Harness::with(4).await.tokens;
    let gate = Arc::new(Notify::new());
    let issuer = Issuer {
        gate: Some(Arc::clone(&gate)),
        ..Issuer::default()
    };
    let policy = policy("x");
    let mut call = Box::pin(ask(&tokens, &issuer, "a", None, &policy));
    assert!(futures_util::poll!(&mut call).is_pending());
    while issuer.count() == 0 {
        tokio::task::yield_now().await;
    }
    let mut drained = Box::pin(tokens.drain());
    assert!(futures_util::poll!(&mut drained).is_pending());
    let late = ask(&tokens, &issuer, "b", None, &policy).await;
    assert!(matches!(late, Err(CredentialError::Refused("stopping"))));
    gate.notify_one();
    drained.await;
    assert_eq!(call.await.unwrap(), "a.x.0");
}
