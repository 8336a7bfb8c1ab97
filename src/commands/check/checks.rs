//! The checks of the doctor.

/// The checks, in the order of the table. Their names are part of `--json` and do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Check {
    /// Settings, routes, hosts, cookies.
    Configuration,
    /// The signing key and its files.
    Keys,
    /// The server on this machine.
    Server,
    /// Our keys as the IdP fetches them.
    Jwks,
    /// The IdP's metadata.
    Discovery,
    /// Who the IdP says that it is.
    Issuer,
    /// The time here and there.
    Clock,
    /// The client at the IdP.
    Registration,
    /// One for each host.
    RedirectUris,
    /// The requested features.
    Scopes,
    /// How the client authenticates.
    Method,
    /// The signer of assertions.
    Algorithm,
    /// The key that the IdP knows.
    Kid,
    /// Whether the IdP lets the client in.
    Authentication,
}

// === impl Check ===

impl Check {
    /// All of them.
    pub(super) const ALL: [Self; 14] = [
        Self::Configuration,
        Self::Keys,
        Self::Server,
        Self::Jwks,
        Self::Discovery,
        Self::Issuer,
        Self::Clock,
        Self::Registration,
        Self::RedirectUris,
        Self::Scopes,
        Self::Method,
        Self::Algorithm,
        Self::Kid,
        Self::Authentication,
    ];

    /// All of them, the deepest cause first: what stands below follows from what stands above rather than the other way
    /// round. The table has another order, in which the own side comes first.
    pub(super) const BY_DEPTH: [Self; 14] = [
        Self::Configuration,
        Self::Keys,
        Self::Discovery,
        Self::Issuer,
        Self::Clock,
        Self::Server,
        Self::Jwks,
        Self::Registration,
        Self::Method,
        Self::Algorithm,
        Self::Kid,
        Self::Scopes,
        Self::RedirectUris,
        Self::Authentication,
    ];

    /// The name in the table and in JSON.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Keys => "keys",
            Self::Server => "server",
            Self::Jwks => "jwks",
            Self::Discovery => "discovery",
            Self::Issuer => "issuer",
            Self::Clock => "clock",
            Self::Registration => "registration",
            Self::RedirectUris => "redirect_uris",
            Self::Scopes => "scopes",
            Self::Method => "method",
            Self::Algorithm => "algorithm",
            Self::Kid => "kid",
            Self::Authentication => "authentication",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The subject of a check and the meaning of its ✗, in the words of the documentation.
    const fn documented(check: Check) -> (&'static str, &'static str) {
        match check {
            Check::Configuration => (
                "every setting, `routes.yaml`, hosts and cookies, as the start checks them",
                "the server would not start",
            ),
            Check::Keys => (
                "the key that signs by `keyring.json`, and the files beside it. None is made",
                "the server would not start, or not with this key",
            ),
            Check::Server => (
                "`HOST`:`PORT` on this machine",
                "never; – where nobody answers, or it is not ready",
            ),
            Check::Jwks => (
                "the registered `jwks_uri` (`DCR_JWKS_URI`, else below `BFF_BASE_URL`), as the provider fetches it: status, content type, our keys under their kids, cache",
                "the provider sees no keys or other ones, or not the `next` one a minute after it was made: the server does not follow `keyring.json`. Until then, and for `previous` and extra keys, a note",
            ),
            Check::Discovery => ("the provider's metadata, and its own keys", "nobody can log in"),
            Check::Issuer => (
                "`OIDC_ISSUER` beside what the provider calls itself",
                "set it to the letter",
            ),
            Check::Clock => (
                "our time beside the `Date` of the provider's answers",
                "more than 30 seconds apart; or less, where the provider lets us in by its own time alone",
            ),
            Check::Registration => (
                "the stored credentials; the client as the provider has it beside what is wanted; before the first registration, whether the provider takes `DCR_IAT`",
                "the fix says what is needed",
            ),
            Check::RedirectUris => (
                "a row for each one that is missing, with the nearest one that is there",
                "people on that host cannot log in",
            ),
            Check::Scopes => (
                "`OIDC_SCOPES` beside what is registered and offered",
                "every login is refused",
            ),
            Check::Method => (
                "how the client authenticates, here and there",
                "the provider does not let it in",
            ),
            Check::Algorithm => (
                "what signs assertions, here and there",
                "the provider does not let it in",
            ),
            Check::Kid => (
                "whether the provider has the signing key, registered or where it fetches it; of a client that the configuration names, whether it takes what the key signs",
                "the provider does not let it in",
            ),
            Check::Authentication => (
                "the proof, see below",
                "nothing works; what was sent stands there",
            ),
        }
    }

    #[test]
    fn every_check_has_its_row_in_the_documentation() {
        let mut table = "| row | looks at | ✗ means |\n| --- | --- | --- |\n".to_owned();
        for check in Check::ALL {
            let (looks_at, means) = documented(check);
            // Writing to a string cannot fail.
            let _ = writeln!(table, "| `{}` | {looks_at} | {means} |", check.name());
        }
        crate::generated::assert_made("docs/doctor.md", "src/commands/check/checks", &table);
    }
}
