//! Searches for networks on crossbars: does knowledge of the design problem save evaluations?

mod arms;
mod claims;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use crossburn_noise::{Better, Metric};
use crossburn_training::data::DataSource;
use crossburn_training::search::{RATE_REFERENCE, ScoreConfig, Trial, built_in};
use serde_json::{Value, json};

use self::arms::{Goal, LcdaArm};
use super::cells::{Cell, Cells};
use super::registry::{Asked, Paper, Repeat};
use super::{Experiment, Extent, Place, training_name};
use crate::apps::search::{Contest, Extent as SearchExtent, SpaceFile};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, ReproductionColumn, ReproductionCurve};

/// How designs are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By a formula: seconds for many seeds.
    Surrogate,
    /// By training, in a small space.
    Trained,
}

/// Does a prior find good designs in fewer evaluations than a policy that starts from nothing?
///
/// # Source
/// Yan, Qin, Hu and Shi, "On the viability of using LLMs for SW/HW co-design", SOCC 2023 (arXiv 2306.06923): a language model finds designs like those of
/// reinforcement learning in 20 evaluations instead of 500. Here a heuristic prior replaces the language model. Spaces and reference values of the
/// scores are this project's.
pub(crate) struct LcdaPaper {
    form: Form,
    file: SpaceFile,
    /// Number of evaluations of each search.
    budget: usize,
    contests: BTreeMap<Goal, Contest>,
}

impl LcdaPaper {
    /// The experiment on the paper's space, with a formula for the quality. If `source` is given, on a small space whose networks are trained on it.
    ///
    /// # Errors
    /// If networks of the small space do not take the source, or if the experiment does not have the extent.
    pub(crate) fn new(source: Option<DataSource>, extent: Extent) -> Result<Self> {
        let form = match source {
            None => Form::Surrogate,
            Some(_) => Form::Trained,
        };
        let budget = match (form, extent) {
            (_, Extent::Full) => bail!("this paper's experiment has one size: drop --full"),
            (Form::Surrogate, Extent::Quick) => 60,
            (Form::Surrogate, Extent::Usual) => 500,
            (Form::Trained, Extent::Quick) => 4,
            (Form::Trained, Extent::Usual) => 40,
        };
        let file = match source {
            None => SpaceFile::open("lcda", None)?,
            Some(source) => {
                let tried_out = extent == Extent::Quick;
                let space = match source.kind() {
                    "cifar10" => "cifar10",
                    _ => "digits",
                };
                SpaceFile::open(space, None)?.trained_on(source, tried_out)?
            }
        };
        let rate = ScoreConfig::RAl {
            quality: "quality".to_string(),
            latency: "latency".to_string(),
            reference: RATE_REFERENCE,
            floor: 0.0,
        };
        // A cell ends quickly, so a search is only stopped between two evaluations.
        let never = Arc::new(AtomicBool::new(false));
        let mut contests = BTreeMap::new();
        for goal in arms::arms(form).iter().map(|arm| arm.goal) {
            if contests.contains_key(&goal) {
                continue;
            }
            let (score, hidden) = match goal {
                Goal::Energy => (&file.score, false),
                Goal::HiddenEnergy => (&file.score, true),
                Goal::Rate => (&rate, false),
            };
            contests.insert(goal, Contest::new(&file, score, &[], hidden, &never)?);
        }
        Ok(Self {
            form,
            file,
            budget,
            contests,
        })
    }

    /// Numbers of evaluations after which the table shows the best score.
    fn shown(&self) -> Vec<usize> {
        match self.form {
            Form::Surrogate => vec![20, 40, self.budget],
            Form::Trained => vec![self.budget.div_ceil(2), self.budget],
        }
    }
}

/// Numbers of evaluations after which the best score is kept: each of the first ones, and fewer later.
fn looks(budget: usize) -> impl DoubleEndedIterator<Item = usize> {
    (1..=budget).filter(move |&count| {
        let every = match count {
            ..=40 => 1,
            41..=200 => 5,
            _ => 10,
        };
        count % every == 0 || count == budget
    })
}

/// The name of the best score after `evaluations` evaluations.
fn best_after(goal: Goal, evaluations: usize) -> String {
    format!("{} after {evaluations}", goal.score())
}

/// The metric for scores of a goal. It has no limits.
fn metric_of(goal: Goal) -> Metric {
    Metric {
        better: Better::Higher,
        low: None,
        high: None,
        ..Metric::share(goal.score())
    }
}

/// The highest score of the first `evaluations` trials.
fn best_of(trials: &[Trial], evaluations: usize) -> f64 {
    let scores = trials.iter().take(evaluations).map(|trial| trial.score);
    scores.fold(f64::NEG_INFINITY, f64::max)
}

impl Paper for LcdaPaper {
    const NAME: &'static str = "lcda";
    const ABOUT: &'static str =
        "Searches for networks on crossbars: how much it helps to know what is designed";
    const DATA: Option<&'static str> = Some(
        "digits, mnist:DIR or cifar10:DIR, which networks are trained on; without --data a formula judges them, in seconds",
    );
    const USUAL_SOURCE: Option<&'static str> = None;
    const SEEDS: &'static str = "20, or 3 with --data";

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        repeat.experiment(&Self::new(asked.source, asked.extent)?)
    }
}

impl Experiment for LcdaPaper {
    type Arm = LcdaArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({
            "experiment": {
                "space": study::json(&self.file)?,
                "budget": self.budget,
            },
        }))
    }

    /// With a formula there can be many.
    fn usual_seeds(&self) -> u64 {
        match self.form {
            Form::Surrogate => 20,
            Form::Trained => super::USUAL_SEEDS,
        }
    }

    fn data(&self) -> String {
        let contest = self.contests.values().next();
        let words = contest.map_or(String::new(), |contest| contest.measured_by());
        format!("{} evaluations of each search; {words}", self.budget)
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let mut scores: Vec<Goal> = Vec::new();
        for goal in self.contests.keys() {
            if scores.iter().all(|other| other.score() != goal.score()) {
                scores.push(*goal);
            }
        }
        let shown = self.shown();
        let columns = scores.into_iter().flat_map(|goal| {
            shown.iter().map(move |&evaluations| ReproductionColumn {
                name: best_after(goal, evaluations),
                metric: metric_of(goal),
            })
        });
        columns.collect()
    }

    fn arms(&self) -> Vec<LcdaArm> {
        arms::arms(self.form)
    }

    fn cell(
        &self,
        arm: &LcdaArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let contest = self
            .contests
            .get(&arm.goal)
            .with_context(|| format!("`{}` has no contest", arm.name))?;
        let mut proposer = built_in(arm.proposer, seed)
            .with_context(|| format!("there is no proposer `{}`", arm.proposer))?;
        let told = observer.chips(&training_name(arm, seed), self.budget as u64);
        let extent = SearchExtent {
            budget: self.budget,
            stop: place.stop,
        };
        let searched = contest.search(
            contest.judge(),
            &mut *proposer,
            extent,
            &mut BTreeMap::new(),
            &|_| told(),
        )?;
        if place.is_stopped() {
            return Ok(None);
        }
        let trials = searched.trials;
        let numbers = looks(self.budget).map(|evaluations| {
            let name = best_after(arm.goal, evaluations);
            (name, best_of(&trials, evaluations))
        });
        Ok(Some(Cell {
            backward: trials.len() as u64,
            numbers: numbers.collect(),
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        match self.form {
            Form::Surrogate => claims::on_the_surrogate(cells, self.budget),
            Form::Trained => claims::on_trainings(cells, self.budget),
        }
    }

    fn curves(&self, cells: &Cells) -> Vec<ReproductionCurve> {
        let arms = self.arms();
        let of_goal = |goal: &Goal| ReproductionCurve {
            title: match goal {
                Goal::HiddenEnergy => format!("Best {}, designs without names", goal.score()),
                Goal::Energy | Goal::Rate => format!("Best {}", goal.score()),
            },
            along: "Evaluations".to_string(),
            metric: metric_of(*goal),
            at: looks(self.budget).map(|count| count as f64).collect(),
            lines: arms
                .iter()
                .filter(|arm| arm.goal == *goal)
                .filter_map(|arm| {
                    let names = looks(self.budget).map(|count| best_after(*goal, count));
                    cells.line(&arm.name, names)
                })
                .collect(),
        };
        self.contests.keys().map(of_goal).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_dense_at_first_and_end_with_the_budget() {
        assert_eq!(looks(4).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let long: Vec<usize> = looks(503).collect();
        assert_eq!(long[38..43], [39, 40, 45, 50, 55]);
        assert_eq!(long[long.len() - 3..], [490, 500, 503]);
    }
}
