//! The results of the searches of a contest, in the form of a document.

use std::collections::BTreeMap;

use crossburn_training::search::{
    Design, Exchange, Measure, Searched, Trial, best, best_so_far, hypervolume, pareto_set,
};

use super::contest::Contest;
use crate::report::{DesignPoint, ProposerResults, SearchRun, ShownExchange};

/// Most designs of a document, besides those of the Pareto sets.
const MOST_POINTS: usize = 400;
/// Most exchanges of a document.
const MOST_EXCHANGES: usize = 200;
/// Most characters of a reply in a document.
const MOST_SHOWN: usize = 2000;

/// A finished search.
pub(super) struct Finished {
    pub(super) proposer: String,
    /// `None` for a proposer with a conversation.
    pub(super) seed: Option<u64>,
    pub(super) searched: Searched,
}

/// Adds `exchanges` of `search` to the shown ones, as far as there is room.
pub(super) fn shown_exchanges(
    search: &Finished,
    exchanges: Vec<Exchange>,
    shown: &mut Vec<ShownExchange>,
) {
    let asked = search.searched.trials.len();
    let room = MOST_EXCHANGES.saturating_sub(shown.len());
    // The transcript of a resumed longer run has more exchanges.
    let own = exchanges
        .into_iter()
        .filter(|exchange| exchange.evaluation <= asked);
    shown.extend(own.take(room).map(|exchange| ShownExchange {
        proposer: search.proposer.clone(),
        evaluation: exchange.evaluation,
        reply: exchange.reply.chars().take(MOST_SHOWN).collect(),
        problem: exchange.problem,
    }));
}

/// The valid designs of all searches, without repetitions.
pub(super) struct Points {
    pub(super) all: Vec<DesignPoint>,
    measures: Vec<Measure>,
}

impl Points {
    pub(super) fn of(contest: &Contest, finished: &[Finished]) -> Self {
        let mut seen: BTreeMap<&Design, DesignPoint> = BTreeMap::new();
        for search in finished {
            for (number, trial) in search.searched.trials.iter().enumerate() {
                let Some(design) = trial.design.as_ref().filter(|_| trial.is_valid()) else {
                    continue;
                };
                seen.entry(design).or_insert_with(|| DesignPoint {
                    design: contest.space.text(design),
                    values: trial.values.clone(),
                    score: trial.score,
                    proposer: search.proposer.clone(),
                    seed: search.seed,
                    evaluation: number + 1,
                });
            }
        }
        Self {
            all: seen.into_values().collect(),
            measures: contest.measures().to_vec(),
        }
    }

    /// The measures of every point.
    pub(super) fn values(&self) -> Vec<&[f64]> {
        self.all.iter().map(|point| &point.values[..]).collect()
    }

    /// The first point with the highest score.
    pub(super) fn highest(&self) -> Option<DesignPoint> {
        let highest = self
            .all
            .iter()
            .reduce(|best, point| match point.score > best.score {
                true => point,
                false => best,
            });
        highest.cloned()
    }

    /// The indices of the points on the Pareto front of the first measure and the one at `with`.
    fn front(&self, with: usize) -> Vec<usize> {
        self.front_of([0, with])
    }

    /// The indices of the points on the Pareto front of the measures at these places.
    fn front_of<const N: usize>(&self, places: [usize; N]) -> Vec<usize> {
        let points = self.all.iter();
        let points: Vec<[f64; N]> = points
            .map(|point| places.map(|place| point.values[place]))
            .collect();
        let points: Vec<&[f64]> = points.iter().map(|values| &values[..]).collect();
        pareto_set(&points, &places.map(|place| self.measures[place].better))
    }

    /// The indices of the points on the Pareto front of the first measure, unfairness and size; none if these are not measured.
    fn fair_front(&self) -> Vec<usize> {
        let place = |name: &str| {
            self.measures
                .iter()
                .position(|measure| measure.name == name)
        };
        let (Some(unfair), Some(weights)) = (place("unfairness"), place("weights")) else {
            return Vec::new();
        };
        self.front_of([0, unfair, weights])
    }

    /// The points in a document: the Pareto sets of the first measure with each other one, that of quality, unfairness and size, and some of the rest.
    pub(super) fn shown(&self) -> Vec<DesignPoint> {
        let mut chosen: Vec<usize> = (1..self.measures.len())
            .flat_map(|with| self.front(with))
            .chain(self.fair_front())
            .collect();
        let stride = self.all.len().div_ceil(MOST_POINTS).max(1);
        chosen.extend((0..self.all.len()).step_by(stride));
        chosen.sort_unstable();
        chosen.dedup();
        chosen
            .into_iter()
            .map(|place| self.all[place].clone())
            .collect()
    }

    /// The worst and the best value of the measure at `place`.
    fn ends(&self, place: usize) -> Option<(f64, f64)> {
        let better = self.measures.get(place)?.better;
        let values = self.all.iter().map(|point| point.values[place]);
        let (least, most) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        (least < most).then(|| better.ends(least, most))
    }
}

/// The searches by proposer, in the order of the command line.
pub(super) fn proposers(
    contest: &Contest,
    finished: &[Finished],
    points: &Points,
) -> Vec<ProposerResults> {
    let ends = points.ends(0).zip(points.ends(1));
    let mut found: Vec<ProposerResults> = Vec::new();
    for search in finished {
        let trials = &search.searched.trials;
        let valid: Vec<&[f64]> = trials
            .iter()
            .filter(|trial| trial.is_valid())
            .map(|trial| &trial.values[..2.min(trial.values.len())])
            .collect();
        let share = ends.map(|((worst0, best0), (worst1, best1))| {
            let better = [points.measures[0].better, points.measures[1].better];
            let whole = ((best0 - worst0) * (best1 - worst1)).abs();
            // The rounded sum of slices may be slightly larger than the whole.
            (hypervolume(&valid, &[worst0, worst1], &better) / whole).min(1.0)
        });
        let count = |of: fn(&Trial) -> bool| trials.iter().filter(|trial| of(trial)).count();
        let run = SearchRun {
            seed: search.seed,
            evaluations: trials.len(),
            repeated: count(|trial| trial.repeated),
            invalid: count(|trial| trial.design.is_none()),
            refused: count(|trial| trial.design.is_some() && !trial.is_valid()),
            best: best_so_far(trials),
            best_design: best(trials)
                .and_then(|trial| trial.design.as_ref())
                .map(|design| contest.space.text(design)),
            hypervolume: share,
            ended: search.searched.ended.clone(),
        };
        match found
            .iter_mut()
            .find(|proposer| proposer.name == search.proposer)
        {
            Some(proposer) => proposer.runs.push(run),
            None => found.push(ProposerResults {
                name: search.proposer.clone(),
                runs: vec![run],
            }),
        }
    }
    found
}
