//! The messages between processes: the id of the process, the event, the session.

use crate::{
    clock::Timestamp,
    session::{Change, EndReason, SessionKey},
};

use super::{ended::End, names::named};

/// A message of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Changed(SessionKey),
    Ended(SessionKey, End),
}

// === impl Told ===

impl Told {
    /// Reads a message: its sender and its content. `None` for an unknown message, which a newer server may have
    /// sent.
    pub(super) fn parse(message: &[u8]) -> Option<(&str, Self)> {
        let mut words = std::str::from_utf8(message).ok()?.split(' ');
        let process = words.next()?;
        let what = words.next()?;
        let key = named(words.next()?.as_bytes())?;
        let told = match what {
            "changed" => Self::Changed(key),
            "ended" => match (words.next().and_then(reason), words.next().map(str::parse)) {
                (Some(why), Some(Ok(latest))) => {
                    let latest = Timestamp::from_unix_millis(latest);
                    Self::Ended(key, End { why, latest })
                }
                // The watchers of the session then read it.
                _ => Self::Changed(key),
            },
            _ => return None,
        };
        Some((process, told))
    }

    /// The session that it is about.
    pub(super) const fn key(&self) -> &SessionKey {
        match self {
            Self::Changed(key) | Self::Ended(key, _) => key,
        }
    }
}

impl From<Told> for Change {
    fn from(told: Told) -> Self {
        match told {
            Told::Changed(key) => Self::Of(key),
            Told::Ended(key, end) => Self::Ended(key, end.why),
        }
    }
}

fn reason(word: &str) -> Option<EndReason> {
    EndReason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::names::member, *};

    #[test]
    fn messages_are_read() {
        let key = SessionKey::from_bytes([5; 32]);
        let name = member(&key);
        let told = |message: &str| {
            let (process, told) = Told::parse(message.as_bytes())?;
            assert_eq!(process, "you");
            Some(told)
        };
        assert_eq!(told(&format!("you changed {name}")), Some(Told::Changed(key)));
        for why in EndReason::ALL {
            let message = format!("you ended {name} {} 5000", why.as_str());
            let latest = Timestamp::from_unix_seconds(5);
            assert_eq!(told(&message), Some(Told::Ended(key, End { why, latest })));
        }
        assert_eq!(
            told(&format!("you ended {name} newer 1")),
            Some(Told::Changed(key))
        );
        assert_eq!(told(&format!("you ended {name}")), Some(Told::Changed(key)));
        for ignored in [
            format!("you newer {name}"),
            "you changed".to_owned(),
            "you changed short".to_owned(),
            String::new(),
        ] {
            assert_eq!(told(&ignored), None, "{ignored}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Told::parse(&bytes);
        }
    }
}
