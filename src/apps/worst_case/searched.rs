//! Runs a worst-case search with progress. Its state is kept on disk, so that an interrupted search can resume.

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

/// Time between two writes of the state of a search.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// A search, its file and its callbacks.
pub(crate) struct Searched<'a> {
    pub(crate) search: &'a Search,
    pub(crate) seed: u64,
    /// The file of its state.
    pub(crate) path: PathBuf,
    /// All settings that the search depends on. A resumed run must have the same settings.
    pub(crate) of: Value,
    /// Whether to continue from that state, if there is one.
    pub(crate) resume: bool,
    /// Called after every evaluation.
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
    /// Runs the search; `None` if it was stopped. Its state is then on disk.
    ///
    /// # Errors
    /// Those of the search; if the state has other settings, or cannot be written or read.
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
