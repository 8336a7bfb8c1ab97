//! The bff command.

fn main() {}
