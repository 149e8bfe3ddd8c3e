//! The `crossburn` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    crossburn::cli::main()
}
