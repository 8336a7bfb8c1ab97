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
    /// The issuers of tokens that callers bring. Absent if no route takes tokens.
    Idps,
}

// === impl Check ===

impl Check {
    /// All of them.
    pub(super) const ALL: [Self; 15] = [
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
        Self::Idps,
    ];

    /// All of them, the deepest cause first: what stands below follows from what stands above rather than the other way
    /// round. The table has another order, in which the own side comes first.
    pub(super) const BY_DEPTH: [Self; 15] = [
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
        Self::Idps,
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
            Self::Idps => "idps",
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
                "every setting, `routes.yaml`, hosts and cookies, as the start checks them; the folders that the start writes to, and the space on their disks; whether Redis answers",
                "the server would not start",
            ),
            Check::Keys => (
                "the signing key according to `keyring.json`, and the files beside it. It makes none",
                "the server would not start, or not with this key",
            ),
            Check::Server => (
                "`HOST`:`PORT` on this machine; while no server runs, whether a start could listen there and on `BFF_INTERNAL_ADDR`",
                "the server would not start; – if no server answers, or it is not ready",
            ),
            Check::Jwks => (
                "the registered `jwks_uri` (`DCR_JWKS_URI`, else below `BFF_BASE_URL`), as the provider fetches it: status, content type, our keys under their kids, cache",
                "the provider sees no keys or other ones; or the `next` key is missing a minute after its creation, because the server does not follow `keyring.json`. Until then, and for `previous` and extra keys, the row has a note",
            ),
            Check::Discovery => (
                "the provider's metadata, its own keys, whether something serves its endpoints for logins, tokens, pushed requests, `UserInfo`, revocation and logout, and whether a setting names one of them with the address of another one",
                "nobody can log in; or what the row names fails",
            ),
            Check::Issuer => (
                "`OIDC_ISSUER`, compared with the issuer in the provider's metadata",
                "the two differ; they must be equal to the letter",
            ),
            Check::Clock => (
                "our time, compared with the `Date` of the provider's responses",
                "the clocks differ by more than 30 seconds; or by less, if the provider accepts only assertions dated by its own time",
            ),
            Check::Registration => (
                "the stored credentials; the client at the provider, compared with the wanted one; before the first registration, whether the provider accepts `DCR_IAT`; whether the next start imports `bff_client.json` into Redis",
                "the fix names the needed change",
            ),
            Check::RedirectUris => (
                "a row for each missing one, with the most similar registered one",
                "people on that host cannot log in",
            ),
            Check::Scopes => (
                "`OIDC_SCOPES`, compared with the registered and the offered scopes; if routes need tokens for single APIs, the grants for them, compared with `grant_types_supported`",
                "every login is refused; or calls of these routes get 502",
            ),
            Check::Method => (
                "the authentication method here and at the provider",
                "the provider refuses the client",
            ),
            Check::Algorithm => (
                "the algorithm of assertions here and at the provider",
                "the provider refuses the client",
            ),
            Check::Kid => (
                "whether the provider has the signing key, registered or fetched; for a configured client, whether the provider accepts an assertion of the key",
                "the provider refuses the client",
            ),
            Check::Idps => (
                "a row for each issuer of `idps.yaml`: its metadata and keys, as the server reads them for tokens that callers bring. Only if a route has `auth: bearer`",
                "tokens of this issuer get 503",
            ),
            Check::Authentication => ("the proof, see below", "nothing works; the row shows the request"),
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
