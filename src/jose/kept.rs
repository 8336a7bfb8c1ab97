//! Claims of a token that was verified when it arrived, and has been kept since.

use super::{Claims, verify::json};

/// The claims of `token`. It has been accepted by [`verify`](super::verify()) when it arrived: nothing of it is checked again,
/// and its time may be over. Nothing that comes from outside is read with this.
#[must_use]
pub fn kept_claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let payload = parts.nth(1)?;
    (parts.count() == 1).then(|| json(payload).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_payload_of_three_parts_is_read() {
        // {"sub":"ada","amr":["otp"]}
        let token = "e30.eyJzdWIiOiJhZGEiLCJhbXIiOlsib3RwIl19.c2ln";
        let claims = kept_claims(token).unwrap();
        assert_eq!(claims["sub"], "ada");
        assert_eq!(claims["amr"][0], "otp");
        for other in [
            "",
            "a",
            "e30.e30",
            "e30.!.c2ln",
            "e30.W10.c2ln",
            "e30.e30.c2ln.e30.e30",
        ] {
            assert_eq!(kept_claims(other), None, "{other}");
        }
    }
}
