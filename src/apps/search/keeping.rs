//! Keeps evaluations that take long as soon as they are made.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use crossburn_training::TrainingError;
use crossburn_training::search::{Design, Judge, Judged, Measure, Space};

/// A judge that keeps all evaluations after each new one.
pub(super) struct Keeping<'a> {
    judge: &'a dyn Judge,
    finished: Mutex<BTreeMap<Design, Judged>>,
    keep: &'a (dyn Fn(&BTreeMap<Design, Judged>) -> Result<()> + Sync),
}

impl<'a> Keeping<'a> {
    /// Wraps `judge`. The evaluations in `finished` are made already; `keep` is called with all evaluations after each new one.
    pub(super) fn new(
        judge: &'a dyn Judge,
        finished: BTreeMap<Design, Judged>,
        keep: &'a (dyn Fn(&BTreeMap<Design, Judged>) -> Result<()> + Sync),
    ) -> Self {
        Self {
            judge,
            finished: Mutex::new(finished),
            keep,
        }
    }

    /// All evaluations.
    pub(super) fn finished(self) -> BTreeMap<Design, Judged> {
        let finished = self.finished.into_inner();
        finished.unwrap_or_else(PoisonError::into_inner)
    }

    fn evaluations(&self) -> MutexGuard<'_, BTreeMap<Design, Judged>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge for Keeping<'_> {
    fn measures(&self) -> &[Measure] {
        self.judge.measures()
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        if let Some(judged) = self.evaluations().get(design) {
            return Ok(judged.clone());
        }
        let judged = self.judge.judge(space, design)?;
        let mut evaluations = self.evaluations();
        if evaluations.insert(design.clone(), judged.clone()).is_none() {
            (self.keep)(&evaluations).map_err(|error| TrainingError::Data {
                place: "the evaluations so far".to_string(),
                problem: format!("{error:#}"),
                remedy: "free some room, then go on with --resume".to_string(),
            })?;
        }
        Ok(judged)
    }

    fn foresee(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Option<Vec<Option<f64>>>, TrainingError> {
        self.judge.foresee(space, design)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;
    use crossburn_noise::Better;
    use crossburn_training::search::SpaceConfig;

    use super::*;

    /// A judge that gives the number of the choice, and counts its calls.
    struct Counted(Vec<Measure>, AtomicUsize);

    impl Judge for Counted {
        fn measures(&self) -> &[Measure] {
            &self.0
        }

        fn judge(&self, _: &Space, design: &Design) -> Result<Judged, TrainingError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(Judged::Measured(vec![f64::from(design.numbers()[0])]))
        }
    }

    #[test]
    fn all_evaluations_are_kept_after_each_new_one() {
        let config: SpaceConfig = toml::from_str("name = \"a\"\nnetwork.x = [1, 2, 3]").unwrap();
        let space = Space::new(config).unwrap();
        let designs: Vec<Design> = space.designs().collect();
        let measures = vec![Measure::new("quality", "", Better::Higher)];
        let counted = Counted(measures, AtomicUsize::new(0));
        let kept = Mutex::new(Vec::new());
        let keep = |finished: &BTreeMap<Design, Judged>| {
            kept.lock().unwrap().push(finished.len());
            Ok(())
        };
        let before = BTreeMap::from([(designs[2].clone(), Judged::Measured(vec![7.0]))]);
        let keeping = Keeping::new(&counted, before, &keep);
        for (place, value) in [(0, 0.0), (1, 1.0), (2, 7.0), (0, 0.0)] {
            let judged = keeping.judge(&space, &designs[place]).unwrap();
            assert_eq!(judged, Judged::Measured(vec![value]));
        }
        assert_eq!(counted.1.load(Ordering::SeqCst), 2);
        assert_eq!(keeping.finished().len(), 3);
        assert_eq!(*kept.lock().unwrap(), [2, 3]);
        let full = |_: &BTreeMap<Design, Judged>| bail!("no space left on device");
        let keeping = Keeping::new(&counted, BTreeMap::new(), &full);
        let message = keeping.judge(&space, &designs[0]).unwrap_err().to_string();
        assert_eq!(
            message,
            "the evaluations so far: no space left on device; free some room, then go on with --resume"
        );
    }
}
