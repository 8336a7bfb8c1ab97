//! The start: configuration, keys, the order of things, an IdP that is down.
