//! A headless browser for the tests of reports.

#![allow(
    clippy::print_stderr,
    reason = "a test may panic, and says when it skips"
)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the page through a headless browser; `None` where there is none.
pub(crate) fn chromium(arguments: &[String], page: &Path, profile: &Path) -> Option<Output> {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: no `chromium` on PATH");
            None
        }
        Err(error) => panic!("chromium does not start: {error}"),
    }
}
