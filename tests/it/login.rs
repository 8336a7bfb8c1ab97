//! Logging in: the order of checks, several hosts, what attackers try.
