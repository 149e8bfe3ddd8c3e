//! The `crossburn` command.

use std::process::ExitCode;

use crossburn::CountedAllocator;

#[global_allocator]
static ALLOCATOR: CountedAllocator = CountedAllocator;

fn main() -> ExitCode {
    crossburn::cli::main()
}
