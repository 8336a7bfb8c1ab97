//! Logging out.
