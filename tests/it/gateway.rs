//! Calls passed on to an API.
