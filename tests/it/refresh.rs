//! Tokens stay fresh: one refresh at a time, what ends a session and what does not.
