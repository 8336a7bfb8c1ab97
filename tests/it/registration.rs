//! Registration at startup: what the IdP is told, what is kept, every refusal with its hint.
