//! The document of a search for designs, as `results.json`.
//!
//! `docs/results.md` describes every field.

use crossburn_training::search::Measure;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{page, plots, summary, table};
use crate::report::check::{finite, fraction, invalid};
use crate::report::document::origin;
use crate::report::draw::{Drawing, Page};
use crate::report::{Document, Origin, ReportError, Timing};

/// What proposers found in a space of designs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchResults {
    /// Name and version of the format, [`SearchResults::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration.
    pub config: Value,
    /// Name of the space.
    pub space: String,
    /// What is designed, in a sentence; empty where the space does not say.
    pub about: String,
    /// Designs of the space, whether or not they keep its constraints.
    pub designs: f64,
    /// How designs were measured, in words.
    pub evaluation: String,
    /// How measures become the score, in words.
    pub score: String,
    /// Limits, in words.
    pub limits: Vec<String>,
    /// Whether names and values were hidden from proposers.
    pub hidden: bool,
    /// Evaluations of a search.
    pub budget: usize,
    /// The highest score of the whole space, where all of it could be looked through.
    pub optimum: Option<f64>,
    /// What designs were measured by.
    pub measures: Vec<Measure>,
    /// The searches of every proposer.
    pub proposers: Vec<ProposerResults>,
    /// The design of the highest score; none where no design was valid.
    pub winner: Option<DesignPoint>,
    /// The best design by the priorities of the space, where it has any.
    pub by_priority: Option<DesignPoint>,
    /// The layers of the winner in their order, where they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<DesignLayer>,
    /// Valid designs: the Pareto sets of the first measure with each other one, and some of the rest.
    pub points: Vec<DesignPoint>,
    /// What proposers that are spoken with replied.
    pub conversation: Vec<ShownExchange>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// The searches of a proposer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposerResults {
    /// Its name.
    pub name: String,
    /// One search per seed.
    pub runs: Vec<SearchRun>,
}

/// One search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRun {
    /// Its seed; none for a proposer that is spoken with.
    pub seed: Option<u64>,
    /// Proposals, all of them.
    pub evaluations: usize,
    /// Those that were the same design as an earlier one, and were not measured again.
    pub repeated: usize,
    /// Those that were no design.
    pub invalid: usize,
    /// Designs that broke a constraint or a limit, or could not be built.
    pub refused: usize,
    /// The highest score so far, at every evaluation at which it rose: the number of the evaluation, from 1, and the score.
    pub best: Vec<(usize, f64)>,
    /// The design of the highest score.
    pub best_design: Option<String>,
    /// How much of the rectangle between the worst and the best values of all searches, by the first two measures, its designs dominate.
    pub hypervolume: Option<f64>,
    /// Why it ended before its budget, in words.
    pub ended: Option<String>,
}

/// A design that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignPoint {
    /// Its text form.
    pub design: String,
    /// Its measures, in their order.
    pub values: Vec<f64>,
    /// Its score.
    pub score: f64,
    /// Who proposed it first.
    pub proposer: String,
    /// With which seed.
    pub seed: Option<u64>,
    /// At which evaluation, from 1.
    pub evaluation: usize,
}

/// A layer of a design, and the arrays that it lies on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignLayer {
    /// Path of the weight.
    pub path: String,
    /// Rows of the matrix of a group.
    pub inputs: usize,
    /// Columns of the matrix of a group.
    pub outputs: usize,
    /// Matrices of the layer.
    pub groups: usize,
    /// Positions that it computes for one input.
    pub positions: usize,
    /// Arrays in the direction of the inputs.
    pub row_tiles: usize,
    /// Arrays in the direction of the outputs.
    pub column_tiles: usize,
    /// Copies of the layer.
    pub copies: usize,
    /// Arrays of all groups and copies.
    pub arrays: u64,
    /// Share of their cells that hold weights.
    pub utilisation: f64,
    /// Energy of one input, in pJ.
    pub energy: f64,
    /// Time of one input, in s.
    pub latency: f64,
}

/// A reply of a proposer that is spoken with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownExchange {
    /// Its name.
    pub proposer: String,
    /// The evaluation that it is for, from 1.
    pub evaluation: usize,
    /// The beginning of the reply.
    pub reply: String,
    /// What is wrong with it; none where it names a design.
    pub problem: Option<String>,
}

impl SearchRun {
    /// The highest score after `evaluations`; none before the first one.
    pub fn best_after(&self, evaluations: usize) -> Option<f64> {
        let rises = self.best.iter().take_while(|(at, _)| *at <= evaluations);
        rises.last().map(|(_, score)| *score)
    }

    /// The first evaluation after which the highest score is at least `score`.
    pub fn reaches(&self, score: f64) -> Option<usize> {
        let reached = self.best.iter().find(|(_, best)| *best >= score);
        reached.map(|(at, _)| *at)
    }

    fn check(&self, field: &str, budget: usize) -> Result<(), ReportError> {
        let refuse =
            |name: &str, problem: String| Err(invalid(&format!("{field}.{name}"), problem));
        if self.evaluations > budget {
            let problem = format!("is {} of a budget of {budget}", self.evaluations);
            return refuse("evaluations", problem);
        }
        let parts = [self.repeated, self.invalid, self.refused];
        if parts.iter().any(|part| *part > self.evaluations) {
            return refuse(
                "evaluations",
                format!("is {}, fewer than of a kind", self.evaluations),
            );
        }
        let rises = self
            .best
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        let within = self
            .best
            .iter()
            .all(|(at, _)| (1..=self.evaluations).contains(at));
        if !rises || !within {
            return refuse("best", "does not rise within the evaluations".into());
        }
        for (_, score) in &self.best {
            finite(&format!("{field}.best"), *score)?;
        }
        match self.hypervolume {
            Some(share) => fraction(&format!("{field}.hypervolume"), share),
            None => Ok(()),
        }
    }
}

impl SearchResults {
    fn check_point(&self, field: &str, point: &DesignPoint) -> Result<(), ReportError> {
        if point.values.len() != self.measures.len() {
            let problem = format!("are {}, not {}", point.values.len(), self.measures.len());
            return Err(invalid(&format!("{field}.values"), problem));
        }
        let values = point.values.iter().chain([&point.score]);
        values.copied().try_for_each(|value| finite(field, value))
    }
}

impl Document for SearchResults {
    const SCHEMA: &'static str = "crossburn.search/1";
    const NOUN: &'static str = "a search for designs";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    fn check_fields(&self) -> Result<(), ReportError> {
        finite("designs", self.designs)?;
        if let Some(optimum) = self.optimum {
            finite("optimum", optimum)?;
        }
        if self.measures.is_empty() {
            return Err(invalid("measures", "are none".into()));
        }
        if self.budget == 0 {
            return Err(invalid("budget", "is 0".into()));
        }
        for proposer in &self.proposers {
            if proposer.runs.is_empty() {
                return Err(invalid(
                    &format!("proposer `{}`", proposer.name),
                    "has no search".into(),
                ));
            }
            for (number, run) in proposer.runs.iter().enumerate() {
                run.check(
                    &format!("proposer `{}`: runs[{number}]", proposer.name),
                    self.budget,
                )?;
            }
        }
        let named = [("winner", &self.winner), ("by_priority", &self.by_priority)];
        for (name, point) in named {
            if let Some(point) = point {
                self.check_point(name, point)?;
            }
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let field = format!("layers[{number}]");
            fraction(&format!("{field}.utilisation"), layer.utilisation)?;
            finite(&field, layer.energy)?;
            finite(&field, layer.latency)?;
        }
        let mut points = self.points.iter().enumerate();
        points.try_for_each(|(number, point)| self.check_point(&format!("points[{number}]"), point))
    }

    fn verb(_: &Value) -> Option<String> {
        Some("search".into())
    }

    fn title(&self) -> String {
        format!("Crossburn search: {}", self.space)
    }

    fn summary(&self) -> String {
        summary::headline(self)
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(table::tables(self))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(plots::plots(self))
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, plots))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn what_no_search_can_have_is_refused_by_name() {
        type Change = fn(&mut SearchResults);
        let changes: [(&str, Change); 11] = [
            ("designs is inf", |found| found.designs = f64::INFINITY),
            ("optimum is NaN", |found| found.optimum = Some(f64::NAN)),
            ("measures are none", |found| found.measures.clear()),
            ("budget is 0", |found| found.budget = 0),
            ("proposer `random` has no search", |found| {
                found.proposers[0].runs.clear()
            }),
            ("runs[0].evaluations is 41 of a budget of 40", |found| {
                found.proposers[0].runs[0].evaluations = 41;
            }),
            ("runs[0].best does not rise", |found| {
                found.proposers[0].runs[0].best.push((2, 0.1));
            }),
            ("runs[0].hypervolume is 1.5, outside 0..=1", |found| {
                found.proposers[0].runs[0].hypervolume = Some(1.5);
            }),
            ("winner.values are 1, not 2", |found| {
                found.winner.as_mut().unwrap().values.pop();
            }),
            ("layers[1].utilisation is 2, outside 0..=1", |found| {
                found.layers[1].utilisation = 2.0;
            }),
            ("points[0] is NaN", |found| found.points[0].score = f64::NAN),
        ];
        example::search().check().unwrap();
        for (part, change) in changes {
            let mut found = example::search();
            change(&mut found);
            let message = found.check().unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
    }

    #[test]
    fn the_best_score_is_a_step_function() {
        let run = &example::search().proposers[0].runs[0];
        assert_eq!(run.best, [(1, 0.2), (7, 0.5), (30, 0.6)]);
        let after = [0, 1, 6, 7, 40].map(|evaluations| run.best_after(evaluations));
        assert_eq!(after, [None, Some(0.2), Some(0.2), Some(0.5), Some(0.6)]);
        assert_eq!(
            [0.2, 0.3, 0.61].map(|score| run.reaches(score)),
            [Some(1), Some(7), None]
        );
    }
}
