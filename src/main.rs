//! The `bff` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A call allocates some forty pieces of memory, which the allocator of the C library makes a tenth of its cost.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    bff::commands::main()
}
