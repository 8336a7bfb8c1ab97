//! A client with inline `jwks`: the IdP learns of a key before it signs.

use std::time::Duration;

use bff::keys::KeyKind;
use devstack_idp::{Endpoint, Fault};

use super::{AHEAD, builder, in_state, settled, signers, swap_named_key};
use crate::support::Stack;

fn registered_kids(stack: &Stack) -> Vec<String> {
    let client = stack.idp.registered_client("bff-server").unwrap();
    let keys = client["jwks"]["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_key_signs_only_after_the_update_of_the_registration_worked() {
    let stack = builder().set("BFF_BASE_URL", "").start().await;
    let old = in_state(&stack, "active").unwrap();
    assert_eq!(registered_kids(&stack), std::slice::from_ref(&old));
    stack
        .idp
        .fail_always(Endpoint::RegistrationManagement, Fault::status(503));
    swap_named_key(&stack, KeyKind::P256);
    stack
        .advance_until("it is next", Duration::from_mins(1), |stack| {
            in_state(stack, "next").is_some()
        })
        .await;
    // The IdP does not take it for a long time.
    stack
        .advance_until("a while has passed", AHEAD * 2, {
            let end = bff::clock::Clock::now(&stack.clock).saturating_add(AHEAD + Duration::from_mins(4));
            move |stack| bff::clock::Clock::now(&stack.clock) >= end
        })
        .await;
    let new = in_state(&stack, "next").unwrap();
    assert_eq!(registered_kids(&stack), std::slice::from_ref(&old));
    settled().await;
    stack.idp.clear_requests();
    stack.browser().log_in().await;
    assert_eq!(signers(&stack), std::slice::from_ref(&old));

    stack.idp.heal_all();
    stack
        .advance_until("the new key signs", Duration::from_mins(5), |stack| {
            in_state(stack, "active").as_ref() == Some(&new)
        })
        .await;
    let mut both = registered_kids(&stack);
    both.sort();
    let mut expected = vec![old, new.clone()];
    expected.sort();
    assert_eq!(both, expected);
    settled().await;
    stack.idp.clear_requests();
    stack.browser().log_in().await;
    assert_eq!(signers(&stack), [new]);
}
