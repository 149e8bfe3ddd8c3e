//! What all searches of a contest share: the space, the judge of its designs, and the score.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use crossburn_training::search::{
    Design, Draws, Goal, Judge, Judged, Limit, Measure, Priority, Proposer, Score, ScoreConfig,
    Search, Searched, Space, best_by_priority,
};
use rayon::prelude::*;

use super::space_file::{Measurer, SpaceFile};
use crate::report::DesignLayer;

/// Spaces of at most this many designs are enumerated to find the best one.
const LOOKED_THROUGH: f64 = 50_000.0;
/// Number of random designs that are checked against the limits.
const LIMIT_DRAWS: usize = 500;

/// What all searches of a contest share.
pub(crate) struct Contest {
    pub(crate) space: Space,
    /// The space as proposers see it.
    view: Space,
    /// Whether names and values of the space are hidden from proposers.
    pub(super) hidden: bool,
    pub(super) measurer: Measurer,
    pub(super) score: Score,
    pub(super) limits: Vec<Limit>,
    priorities: Vec<Priority>,
}

/// How long a search goes on.
#[derive(Clone, Copy)]
pub(crate) struct Extent<'a> {
    /// Number of evaluations.
    pub(crate) budget: usize,
    /// Ends the search after the current evaluation.
    pub(crate) stop: &'a AtomicBool,
}

impl Contest {
    /// Checks all settings before a search begins. Setting `stop` ends a measurement that takes long.
    ///
    /// # Errors
    /// For unusable settings, and for limits that apparently no design meets.
    pub(crate) fn new(
        file: &SpaceFile,
        score: &ScoreConfig,
        limits: &[(String, f64)],
        hidden: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self> {
        let space = file.space()?;
        let measurer = file.judge(&space, stop)?;
        let measures = measurer.judge.measures();
        let limits = limits
            .iter()
            .map(|(name, most)| Limit::new(name, *most, measures));
        let contest = Self {
            view: match hidden {
                true => space.anonymous(),
                false => space.clone(),
            },
            hidden,
            score: Score::new(score.clone(), measures)?,
            limits: limits.collect::<Result<_, _>>()?,
            priorities: file.priorities.clone(),
            space,
            measurer,
        };
        best_by_priority(&[], &contest.priorities, contest.measures())?;
        contest.check_limits()?;
        Ok(contest)
    }

    /// The judge of its designs.
    pub(crate) fn judge(&self) -> &dyn Judge {
        &*self.measurer.judge
    }

    /// How designs are measured, in words.
    pub(crate) fn measured_by(&self) -> String {
        self.measurer.words.clone()
    }

    /// What its designs are measured by.
    pub(crate) fn measures(&self) -> &[Measure] {
        self.measurer.judge.measures()
    }

    /// The index of the best of `points` by the priorities of the space, if it has any.
    pub(super) fn by_priority(&self, points: &[&[f64]]) -> Result<Option<usize>> {
        Ok(match self.priorities.is_empty() {
            true => None,
            false => best_by_priority(points, &self.priorities, self.measures())?,
        })
    }

    /// The goal, as proposers with a conversation are told it.
    pub(super) fn goal(&self) -> Goal {
        match self.hidden {
            true => Goal::hidden(),
            false => Goal {
                score: self.score.words(),
                limits: self.limits.iter().map(Limit::words).collect(),
                measures: self.measures().to_vec(),
            },
        }
    }

    /// The layers of the design that `text` describes.
    pub(super) fn layers(&self, text: &str) -> Result<Vec<DesignLayer>> {
        let design = self.space.parse(text)?;
        let layers = self.measurer.judge.layers(&self.space, &design);
        layers.map_err(anyhow::Error::msg)
    }

    fn rules(&self, budget: usize) -> Search<'_> {
        Search {
            space: &self.space,
            view: &self.view,
            score: &self.score,
            limits: &self.limits,
            budget,
        }
    }

    /// Refuses limits that none of many random designs meets.
    fn check_limits(&self) -> Result<()> {
        if self.limits.is_empty() {
            return Ok(());
        }
        let mut draws = Draws::new(0, "limits");
        let mut least: Option<Vec<f64>> = None;
        for _ in 0..LIMIT_DRAWS {
            let Some(design) = self.space.draw(&mut draws) else {
                break;
            };
            let judge = &self.measurer.judge;
            let values: Vec<Option<f64>> = match judge.foresee(&self.space, &design)? {
                Some(known) => known,
                None => match judge.judge(&self.space, &design)? {
                    Judged::Measured(values) => values.into_iter().map(Some).collect(),
                    Judged::Refused(_) => continue,
                },
            };
            if values.is_empty() {
                continue;
            }
            let refuses = |limit: &Limit| limit.refuses_foreseen(&values).is_some();
            if !self.limits.iter().any(refuses) {
                return Ok(());
            }
            // An unknown value must not become the smallest one seen.
            let values = values.iter().map(|value| value.unwrap_or(f64::INFINITY));
            least = Some(match least {
                None => values.collect(),
                Some(least) => least.iter().zip(values).map(|(a, b)| a.min(b)).collect(),
            });
        }
        let words: Vec<String> = self.limits.iter().map(Limit::words).collect();
        let Some(least) = least else {
            bail!(
                "none of {LIMIT_DRAWS} random designs can be built: check the hardware axes of the space"
            );
        };
        let seen = self.measures().iter().zip(least).filter(|(measure, _)| {
            self.limits
                .iter()
                .any(|limit| limit.measure() == measure.name)
        });
        let seen: Vec<String> = seen
            .map(|(measure, least)| format!("{} {least:.4e} {}", measure.name, measure.unit))
            .collect();
        bail!(
            "none of {LIMIT_DRAWS} random designs keeps --limit {}: the least that was seen is {}",
            words.join(" and "),
            seen.join(", ")
        )
    }

    /// The highest score of the space, if all designs can be enumerated.
    pub(super) fn optimum(&self) -> Result<Option<f64>> {
        if self.measurer.trains || self.space.size() > LOOKED_THROUGH {
            return Ok(None);
        }
        let rules = self.rules(0);
        let designs: Vec<Design> = self.space.designs().collect();
        let scores = designs
            .par_iter()
            .map(|design| rules.score_of(&*self.measurer.judge, design));
        let scores = scores.collect::<Result<Vec<Option<f64>>, _>>()?;
        Ok(scores.into_iter().flatten().reduce(f64::max))
    }

    /// One search with `judge`, which is the contest's own or one that keeps its results. `advance` is called after every evaluation with the highest score.
    ///
    /// # Errors
    /// Those of the judge and of the proposer.
    pub(crate) fn search(
        &self,
        judge: &dyn Judge,
        proposer: &mut dyn Proposer,
        extent: Extent<'_>,
        cache: &mut BTreeMap<Design, Judged>,
        advance: &dyn Fn(f64),
    ) -> Result<Searched> {
        let mut highest = f64::NEG_INFINITY;
        let rules = self.rules(extent.budget);
        let searched = rules.run(judge, proposer, cache, &mut |trials| {
            if let Some(trial) = trials.last() {
                highest = highest.max(trial.score);
            }
            advance(highest);
            match extent.stop.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(searched)
    }
}
