//! Fields of an answer that say something beyond this answer: to the browser about the whole origin, which the server
//! and other services share, or to a proxy in front.

use std::sync::LazyLock;

use super::names::Names;
use crate::quote::nearest;

const WITHHELD: &[&[&str]] = &[
    // Fields that make the browser forget data of the origin: the session cookie and all its pages.
    &["clear-site-data"],
    // How the browser reaches the origin from now on, for up to years.
    &[
        "strict-transport-security",
        "public-key-pins",
        "public-key-pins-report-only",
        "expect-ct",
        "alt-svc",
        "alternate-protocol",
    ],
    // Fields that make it report about the origin, and to whom.
    &["nel", "report-to"],
    // Fields that configure the whole origin: a service worker over other paths, a login status, session keys,
    // dictionaries for other answers, hints in every request, a separate process.
    &[
        "service-worker-allowed",
        "set-login",
        "sec-session-*",
        "secure-session-*",
        "use-as-dictionary",
        "accept-ch",
        "accept-ch-lifetime",
        "critical-ch",
        "origin-agent-cluster",
    ],
    // Orders to a proxy in front: to serve another file or URL, to keep the answer, to take the server out of rotation.
    &[
        "x-accel-*",
        "x-sendfile*",
        "x-lighttpd-*",
        "x-litespeed-*",
        "x-reproxy-*",
        "x-envoy-*",
    ],
];

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(WITHHELD.iter().flat_map(|fields| fields.iter().copied())));

/// The withheld name that `name` probably misspells, in lower case.
pub(crate) fn nearest_withheld(name: &str) -> Option<&'static str> {
    let names = WITHHELD.iter().flat_map(|fields| fields.iter().copied());
    nearest(name, names.filter(|name| !name.ends_with('*')))
}

/// Whether a field of this name, in lower case, passes only where its service allows it.
pub(crate) fn is_withheld(name: &str) -> bool {
    NAMES.contains(name)
}
