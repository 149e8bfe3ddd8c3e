//! A worst-case search with progress, kept on disk so that an interrupted one resumes.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use crossburn_noise::worst_case::{
    DeviationBounds, Objective, Search, SearchState, WorstCase, worst_case,
};
use crossburn_training::TrainingError;
use serde_json::Value;

use crate::apps::kept_file::{KeptFile, Work};

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

const STATE: Work = Work {
    key: "state",
    is: "the state of a search",
    holds: "a search",
};

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
        let file = KeptFile::new(self.path.clone(), self.of.clone(), STATE);
        let state: Option<SearchState> = file.read(self.resume)?;
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
                written = file.write(state);
            }
            match stopped || written.is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        written?;
        Ok((!found.interrupted).then_some(found))
    }
}
