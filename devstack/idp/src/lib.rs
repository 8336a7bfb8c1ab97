//! The development IdP.
