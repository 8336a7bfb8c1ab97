//! Starts the development stack.

fn main() {}
