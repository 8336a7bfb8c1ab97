//! The `bff` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    bff::commands::main()
}
