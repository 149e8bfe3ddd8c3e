//! Fair and small networks for a device: a search by rules of thumb, compared with other searches and with networks from the literature.

mod arms;
mod claims;
mod latency;
mod material;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use crossburn_models::nas::ConvolutionalCandidate;
use crossburn_noise::{Better, Metric};
use crossburn_training::data::DataSource;
use crossburn_training::search::{
    Judge, Judged, Measure, Searched, best, best_so_far, built_in, hypervolume,
};
use serde_json::{Value, json};

use self::arms::{FlNasArm, Goal, Origin};
use self::latency::measured_latency;
use self::material::Material;
use super::cells::{Cell, Cells};
use super::registry::{Asked, Paper, Repeat};
use super::{Experiment, Extent, Place, training_name};
use crate::apps::search::{Contest, Extent as SearchExtent, Trained};
use crate::apps::study::StudyObserver;
use crate::report::{Claim, ReproductionColumn};

/// Number of evaluations of a search.
const BUDGET: usize = 20;
const QUICK_BUDGET: usize = 3;

const ACCURACY: &str = "accuracy";
const UNFAIRNESS: &str = "U";
const WEIGHTS: &str = "weights";
const ACTIVATIONS: &str = "peak activations";
const LATENCY: &str = "latency, modelled";
const MEASURED: &str = "latency, measured";
const HYPERVOLUME: &str = "hypervolume";

/// Shares: their names here, and their names as measures of a judge.
const SHARES: [(&str, &str); 8] = [
    (ACCURACY, "quality"),
    (UNFAIRNESS, "unfairness"),
    ("U from", "unfairness-low"),
    ("U to", "unfairness-high"),
    ("EOpp0", "eopp0"),
    ("EOpp1", "eopp1"),
    ("EOdd", "eodd"),
    ("EOdd apart", "eodd-apart"),
];
/// Costs: their names here, their names as measures of a judge, their units, and the factors of their values.
const COSTS: [(&str, &str, &str, f64); 3] = [
    (WEIGHTS, "weights", "thousands", 1e-3),
    (ACTIVATIONS, "activations", "thousands", 1e-3),
    (LATENCY, "latency", "µs", 1e6),
];

/// The corner from which hypervolumes are measured. The whole volume spans accuracy from 0 to 1, U from 1 to 0, and the decimal logarithm of the number of
/// weights from a hundred to a million.
const CORNER: [f64; 3] = [0.0, 1.0, 6.0];
const WHOLE: f64 = 4.0;

/// Does a prior find accurate, fair and small networks in few evaluations, and are they better than those in the literature?
///
/// # Source
/// Qin, Hu, Yan, Xiong, Abbasi and Shi, "FL-NAS", ASP-DAC 2024 (arXiv 2402.06696). A heuristic prior replaces the paper's language model. Items, space and
/// budget are this project's.
pub(crate) struct FlNasPaper {
    material: Material,
    budget: usize,
    /// What the arms of the current seed share. Seeds are run one after the other.
    scene: Mutex<Option<(u64, Arc<Scene>)>>,
}

/// What the arms of one seed share.
struct Scene {
    contests: BTreeMap<Goal, Contest>,
    /// Judges the choice of a search.
    chosen: Trained,
}

impl Scene {
    fn new(material: &Material, seed: u64) -> Result<Self> {
        // A search is only stopped between two evaluations.
        let never = Arc::new(AtomicBool::new(false));
        let searched = material.searched(seed)?;
        let mut contests = BTreeMap::new();
        for goal in [Goal::All, Goal::WithoutFairness, Goal::WithoutHardware] {
            let (score, limits) = (material.score(goal), material.limits(goal));
            let contest = Contest::new(&searched, &score, &limits, false, &never)?;
            contests.insert(goal, contest);
        }
        let chosen = material.chosen(seed)?;
        Ok(Self {
            chosen: chosen.trained(&chosen.space()?, &never)?,
            contests,
        })
    }

    fn contest(&self, goal: Goal) -> Result<&Contest> {
        self.contests
            .get(&goal)
            .with_context(|| format!("{goal:?} has no contest"))
    }

    /// The judge of all searches, so that no design is trained twice.
    fn judge(&self) -> Result<&dyn Judge> {
        Ok(self.contest(Goal::All)?.judge())
    }
}

impl FlNasPaper {
    /// The experiment on `source`. Its samples must have groups.
    ///
    /// # Errors
    /// If the experiment does not have the extent.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        Ok(Self {
            material: Material::new(source, extent)?,
            budget: match extent {
                Extent::Quick => QUICK_BUDGET,
                _ => BUDGET,
            },
            scene: Mutex::new(None),
        })
    }

    fn scene(&self, seed: u64) -> Result<Arc<Scene>> {
        let mut scene = self.scene.lock().unwrap_or_else(PoisonError::into_inner);
        match &*scene {
            Some((own, scene)) if *own == seed => Ok(Arc::clone(scene)),
            _ => {
                let new = Arc::new(Scene::new(&self.material, seed)?);
                *scene = Some((seed, Arc::clone(&new)));
                Ok(new)
            }
        }
    }
}

/// The name of the best score after `evaluations` evaluations.
fn score_after(evaluations: usize) -> String {
    format!("score after {evaluations}")
}

/// The value of the measure `name`.
fn value_of(measures: &[Measure], values: &[f64], name: &str) -> Result<f64> {
    let place = measures.iter().position(|measure| measure.name == name);
    place
        .and_then(|place| values.get(place).copied())
        .with_context(|| format!("a network has no {name}"))
}

/// The results of a search, number by number.
fn numbers_of(
    searched: &Searched,
    measures: &[Measure],
    budget: usize,
) -> Result<Vec<(String, f64)>> {
    let mut numbers = Vec::new();
    let rises = best_so_far(&searched.trials);
    for evaluations in 1..=budget {
        let reached = rises.iter().take_while(|(at, _)| *at <= evaluations).last();
        numbers.extend(reached.map(|(_, score)| (score_after(evaluations), *score)));
    }
    let valid = searched.trials.iter().filter(|trial| trial.is_valid());
    let corners = valid.map(|trial| -> Result<Vec<f64>> {
        let of = |name| value_of(measures, &trial.values, name);
        Ok(vec![
            of("quality")?,
            of("unfairness")?,
            of("weights")?.log10(),
        ])
    });
    let corners: Vec<Vec<f64>> = corners.collect::<Result<_>>()?;
    let corners: Vec<&[f64]> = corners.iter().map(Vec::as_slice).collect();
    let better = [Better::Higher, Better::Lower, Better::Lower];
    let volume = hypervolume(&corners, &CORNER, &better) / WHOLE;
    numbers.push((HYPERVOLUME.to_string(), volume.min(1.0)));
    Ok(numbers)
}

/// The results of a network that is trained again and judged on items that no search has seen, number by number.
fn judged_afresh(
    chosen: &Trained,
    candidate: &ConvolutionalCandidate,
) -> Result<Vec<(String, f64)>> {
    let values = match chosen.judge_candidate(candidate)? {
        Judged::Measured(values) => values,
        Judged::Refused(reason) => bail!("a network cannot be judged: {reason}"),
    };
    let of = |name| value_of(chosen.measures(), &values, name);
    let mut numbers = Vec::new();
    // Differences between two groups exist only if there are two groups.
    let shares = SHARES
        .iter()
        .filter_map(|(name, measure)| Some((name, of(measure).ok()?)));
    numbers.extend(shares.map(|(name, value)| (name.to_string(), value)));
    for (name, measure, _, times) in COSTS {
        numbers.push((name.to_string(), times * of(measure)?));
    }
    numbers.push((MEASURED.to_string(), 1e6 * measured_latency(candidate)));
    Ok(numbers)
}

impl Paper for FlNasPaper {
    const NAME: &'static str = "fl-nas";
    const ABOUT: &'static str =
        "Searches for networks that are accurate, fair to groups of people, and small";
    const DATA: Option<&'static str> = Some("skin-lesions, ham10000:DIR or adult:FILE");
    const USUAL_SOURCE: Option<&'static str> = Some("skin-lesions");
    const SEEDS: &'static str = "5, or 1 with --quick";

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        repeat.experiment(&Self::new(asked.source()?, asked.extent)?)
    }
}

impl Experiment for FlNasPaper {
    type Arm = FlNasArm;

    fn config(&self) -> Result<Value> {
        let mut experiment = self.material.config()?;
        experiment["budget"] = json!(self.budget);
        Ok(json!({ "experiment": experiment }))
    }

    fn usual_seeds(&self) -> u64 {
        match self.budget {
            QUICK_BUDGET => 1,
            _ => 5,
        }
    }

    fn data(&self) -> String {
        format!(
            "{}; {} evaluations of each search",
            self.material.words(),
            self.budget
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let open = |name: &str, better| Metric {
            better,
            low: None,
            high: None,
            ..Metric::share(name.to_string())
        };
        let cost = |name: &'static str, unit: &'static str| Metric {
            unit: unit.into(),
            ..Metric::from_zero(name)
        };
        let column = |name: &str, metric| ReproductionColumn {
            name: name.to_string(),
            metric,
        };
        let mut columns: Vec<ReproductionColumn> = [self.budget.div_ceil(2), self.budget]
            .map(|count| column(&score_after(count), open("score", Better::Higher)))
            .into();
        columns.push(column(HYPERVOLUME, Metric::share(HYPERVOLUME)));
        for (name, _) in SHARES {
            let better = match name {
                ACCURACY => Better::Higher,
                _ => Better::Lower,
            };
            columns.push(column(name, open(name, better)));
        }
        let costs = COSTS.iter().map(|(name, _, unit, _)| (*name, *unit));
        for (name, unit) in costs.chain([(MEASURED, "µs")]) {
            columns.push(column(name, cost(name, unit)));
        }
        columns
    }

    fn arms(&self) -> Vec<FlNasArm> {
        arms::arms(&self.material)
    }

    fn cell(
        &self,
        arm: &FlNasArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let scene = self.scene(seed)?;
        let (proposer, goal) = match arm.origin {
            Origin::Search { proposer, goal } => (proposer, goal),
            Origin::Baseline(number) => {
                let told = observer.chips(&training_name(arm, seed), 1);
                let baseline = &self.material.baselines()[number];
                let network = baseline.network(scene.chosen.open_network());
                let numbers = judged_afresh(&scene.chosen, &network)?;
                told();
                return Ok(Some(Cell {
                    backward: 1,
                    numbers: numbers.into_iter().collect(),
                }));
            }
        };
        let contest = scene.contest(goal)?;
        let mut by = built_in(proposer, seed)
            .with_context(|| format!("there is no proposer `{proposer}`"))?;
        let told = observer.chips(&training_name(arm, seed), self.budget as u64 + 1);
        let extent = SearchExtent {
            budget: self.budget,
            stop: place.stop,
        };
        let mut cache = BTreeMap::new();
        let searched = contest.search(scene.judge()?, &mut *by, extent, &mut cache, &|_| told())?;
        if place.is_stopped() {
            return Ok(None);
        }
        let design = best(&searched.trials).and_then(|trial| trial.design.as_ref());
        let design = design.with_context(|| {
            format!(
                "{} found no design that can be trained, seed {seed}",
                arm.name
            )
        })?;
        let network = scene.chosen.candidate(&contest.space, design);
        let network = network.map_err(anyhow::Error::msg)?;
        let mut numbers = numbers_of(&searched, contest.measures(), self.budget)?;
        if goal != Goal::All {
            // Scores with other goals cannot be compared.
            numbers.retain(|(name, _)| name == HYPERVOLUME);
        }
        numbers.extend(judged_afresh(&scene.chosen, &network)?);
        told();
        Ok(Some(Cell {
            backward: searched.trials.len() as u64,
            numbers: numbers.into_iter().collect(),
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        let beside = self.material.baselines().last();
        let beside = beside.map_or("", |baseline| baseline.name);
        claims::claims(cells, self.budget, beside)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::{INVALID_SCORE, Trial};

    use super::*;

    #[test]
    fn searches_are_counted_by_hand() {
        let measures = ["quality", "unfairness", "weights"];
        let measures = measures.map(|name| Measure::new(name, "", Better::Lower));
        let trial = |values: &[f64], score: f64| Trial {
            design: None,
            values: values.to_vec(),
            refused: values.is_empty().then(String::new),
            score,
            repeated: false,
        };
        let searched = Searched {
            trials: vec![
                trial(&[], INVALID_SCORE),
                trial(&[0.5, 0.5, 1e4], 0.2),
                trial(&[0.25, 0.0, 1e4], 0.1),
            ],
            ended: None,
        };
        let numbers: BTreeMap<String, f64> = numbers_of(&searched, &measures, 4)
            .unwrap()
            .into_iter()
            .collect();
        let scores = (1..=4).map(|count| numbers[&score_after(count)]);
        assert_eq!(scores.collect::<Vec<f64>>(), [-1.0, 0.2, 0.2, 0.2]);
        // Boxes of 0.5 x 0.5 x 2 and 0.25 x 1 x 2 share 0.25 x 0.5 x 2.
        assert!((numbers[HYPERVOLUME] - 0.75 / 4.0).abs() < 1e-12);
        let message = value_of(&measures, &[0.0; 3], "eodd")
            .unwrap_err()
            .to_string();
        assert_eq!(message, "a network has no eodd");
    }
}
