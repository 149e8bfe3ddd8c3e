//! A worst-case search with progress, kept on disk so that an interrupted one resumes.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::write_bytes;
use crossburn_noise::worst_case::{
    DeviationBounds, Objective, Search, SearchState, WorstCase, worst_case,
};
use crossburn_training::TrainingError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How often the state of a search goes to disk.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// A search, and what surrounds it.
pub(crate) struct Searched<'a> {
    pub(crate) search: &'a Search,
    pub(crate) seed: u64,
    /// Where its state is kept.
    pub(crate) path: PathBuf,
    /// Everything that the search depends on: a resumed run must say the same.
    pub(crate) of: Value,
    /// Continue from that state, if there is one.
    pub(crate) resume: bool,
    /// Hears of every evaluation.
    pub(crate) on_evaluation: &'a dyn Fn(&SearchState),
    /// Ends the search early.
    pub(crate) stop: &'a AtomicBool,
}

#[derive(Serialize)]
struct Kept<'a> {
    of: &'a Value,
    state: &'a SearchState,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    of: Value,
    state: SearchState,
}

impl Searched<'_> {
    /// Runs the search; `None` where it was stopped, with its state on disk.
    ///
    /// # Errors
    /// Those of the search, a state of other settings, and one that cannot be kept or read.
    pub(crate) fn run(
        &self,
        objective: &impl Objective<Error = TrainingError>,
        bounds: &DeviationBounds,
    ) -> Result<Option<WorstCase>> {
        let state = self.state()?;
        if let Some(state) = &state {
            (self.on_evaluation)(state);
        }
        let mut saved: Option<Instant> = None;
        let mut written = Ok(());
        let found = worst_case(objective, bounds, self.search, self.seed, state, |state| {
            (self.on_evaluation)(state);
            let stopped = self.stop.load(Ordering::SeqCst);
            let due = saved.is_none_or(|saved| saved.elapsed() >= SAVE_EVERY);
            if due || stopped || state.finished {
                saved = Some(Instant::now());
                written = self.keep(state);
            }
            match stopped || written.is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        written?;
        Ok((!found.interrupted).then_some(found))
    }

    fn keep(&self, state: &SearchState) -> Result<()> {
        let kept = Kept {
            of: &self.of,
            state,
        };
        if let Some(folder) = self.path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(write_bytes(
            &self.path,
            serde_json::to_string(&kept)?.as_bytes(),
        )?)
    }

    fn state(&self) -> Result<Option<SearchState>> {
        if !self.resume || !self.path.exists() {
            return Ok(None);
        }
        let text = fs_err::read_to_string(&self.path)?;
        let found: Found = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not the state of a search: delete it, or leave out --resume",
                self.path.display()
            )
        })?;
        if found.of != self.of {
            bail!(
                "{} holds a search of other settings (checkpoint, data, method, bound or seed): choose another --out, or leave out --resume",
                self.path.display()
            );
        }
        Ok(Some(found.state))
    }
}
