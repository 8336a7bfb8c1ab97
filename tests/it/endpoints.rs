//! The endpoints of our own: session, verify, health, JWKS.
