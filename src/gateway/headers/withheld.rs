//! Fields of an answer that say something beyond this answer: to the browser about the whole origin, which the server
//! and other services share, or to a proxy in front.

use std::sync::LazyLock;

use super::names::Names;
use crate::quote::nearest;

const WITHHELD: &[&[&str]] = &[
    // What the browser forgets of the origin: the session cookie and the pages of everybody.
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
    // What it reports of the origin, and to whom.
    &["nel", "report-to"],
    // What it does for the whole origin: a service worker over other paths, a login status, session keys, dictionaries
    // for other answers, hints in every request, a process of its own.
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

/// The name that was probably meant by `name`, in lower case, which is none of these.
pub(crate) fn nearest_withheld(name: &str) -> Option<&'static str> {
    let names = WITHHELD.iter().flat_map(|fields| fields.iter().copied());
    nearest(name, names.filter(|name| !name.ends_with('*')))
}

/// Whether a field of this name, in lower case, passes only where its service allows it.
pub(crate) fn is_withheld(name: &str) -> bool {
    NAMES.contains(name)
}
