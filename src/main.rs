//! The `crossburn` command.

use std::process::ExitCode;

/// Tensors come and go by the megabyte: an allocator that keeps pages saves their first touch, up to half of a step.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    crossburn::cli::main()
}
