//! Ctrl-C: the first asks for an orderly end, the second ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

use super::terminal;

/// A flag that Ctrl-C (or a termination request) sets, and a note that says so.
pub(crate) fn flag() -> Result<Arc<AtomicBool>> {
    listen(true)
}

/// A flag that Ctrl-C (or a termination request) sets, without a note: it would stand within a text that is being written.
pub(super) fn silent_flag() -> Result<Arc<AtomicBool>> {
    listen(false)
}

fn listen(with_note: bool) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&flag);
    ctrlc::set_handler(move || {
        if held.swap(true, Ordering::SeqCst) {
            terminal::give_back();
            std::process::exit(i32::from(super::INTERRUPTED));
        }
        if with_note && !terminal::is_taken() {
            super::note("interrupted: keeping what is finished (Ctrl-C again ends at once)");
        }
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(flag)
}
