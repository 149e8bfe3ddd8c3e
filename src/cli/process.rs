//! How the process works: how much it says, and on how many threads. Neither changes a result.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use clap::Args;
use rayon::ThreadPoolBuilder;

/// The arguments of every verb that computes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options")]
pub(super) struct ProcessArguments {
    /// Show no progress and no notes: only results and errors
    #[arg(long)]
    quiet: bool,
    /// Threads to compute on [default: one per core]; results do not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Set once, before a verb runs.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Whether the user wants neither progress nor notes.
pub(super) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

impl ProcessArguments {
    /// Sets the process up, before anything computes.
    ///
    /// # Errors
    /// No threads at all, or more than the system gives.
    pub(super) fn set_up(&self) -> Result<()> {
        QUIET.store(self.quiet, Ordering::Relaxed);
        match self.threads {
            None => Ok(()),
            Some(0) => bail!("--threads 0 leaves nothing to compute on: use a number above 0"),
            Some(threads) => {
                let pool = ThreadPoolBuilder::new().num_threads(threads);
                let built = pool.build_global();
                built.with_context(|| format!("cannot start --threads {threads}: use fewer"))
            }
        }
    }
}
