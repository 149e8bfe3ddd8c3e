//! Cells of NAS-Bench-201, trained briefly and judged on chips: do they come in the order of a table that others measured?

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_models::nas::{CellCandidate, CellOperation, NasCell};
use crossburn_noise::{Bootstrap, Distribution, Metric, Variation, kendall, path_hash, spearman};
use crossburn_training::data::DataSource;
use crossburn_training::{CandidateTrials, DataConfig, OptimizerConfig, Recipe, TrainingConfig};
use serde::Serialize;
use serde_json::{Value, json};

use super::cells::{Cell, Cells};
use super::claim::Expected;
use super::registry::{Asked, OwnOption, Paper, Repeat};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::search::{SpaceFile, TableRows};
use crate::apps::study::{self, StudyObserver};
use crate::report::{CONFIDENCE, Claim, RANK_CORRELATIONS, ReproductionColumn, mean};

/// Cells of phase change, 30 days after they were programmed, as the table has them. The conversion of currents is exact, and drift is compensated.
const HARDWARE: &str = "\
    device = { preset = \"pcm-mushroom\" }\n\
    mapping = { scheme = \"one-sided-pair\", weight_bits = 8 }\n\
    array = { rows = 256, columns = 256, input = { bits = 8 } }\n\
    operation = { after = \"30 d\", drift_compensation = \"global\" }\n";
/// The noise of training steps, relative to the largest weight.
const SIGMA: f64 = 0.05;

/// The space whose rows the table has.
const SPACE: &str = "nas-analog-bench";
/// Its axis.
const EDGE: &str = "edge";
/// The column with the names of rows.
const KEY: &str = "cell";
/// The columns with the per cent of right answers: without analog hardware, and of networks trained for it after 30 days.
const COLUMNS: [&str; 2] = ["baseline_accuracy", "analog_drift_2592000"];

const CLEAN: &str = "without variation";
const CHIPS: &str = "on chips";
const DIGITAL: &str = "table, digital";
const DRIFTED: &str = "table, after 30 days";
const WEIGHTS: &str = "weights";

/// How much is trained and judged.
#[derive(Clone, Copy, Debug, Serialize)]
struct Size {
    /// Compared networks.
    cells: usize,
    /// Channels of the first stage.
    channels: usize,
    /// Cells of each stage.
    per_stage: usize,
    /// Training items, with those that are held back.
    train: usize,
    validation: usize,
    test: usize,
    epochs: usize,
    chips: u64,
}

/// What two cores can do in some minutes.
const USUAL: Size = Size {
    cells: 12,
    channels: 8,
    per_stage: 1,
    train: 2200,
    validation: 200,
    test: 500,
    epochs: 8,
    chips: 15,
};
/// Enough that networks no longer give one answer to all items: then they would all be equally good, and come in no order.
const QUICK: Size = Size {
    cells: 4,
    channels: 2,
    per_stage: 1,
    train: 520,
    validation: 20,
    test: 150,
    epochs: 3,
    chips: 2,
};

/// Are networks that a table ranks high good here too, where they are narrow and trained briefly?
///
/// # Source
/// AnalogNAS-Bench (arXiv 2506.18495): all cells of NAS-Bench-201 (Dong and Yang, ICLR 2020), trained in full on CIFAR-10 and judged on phase-change memory.
/// Which of them are compared, the brief training and the hardware are this project's choices.
pub(crate) struct AnalogNas {
    source: DataSource,
    size: Size,
    hardware: Hardware,
    cells: Vec<MeasuredCell>,
    /// Rows of the table in which a path leads through the cell.
    connected: usize,
    digest: u64,
    /// The data of the current seed. Seeds are run one after the other.
    trials: Mutex<Option<(u64, Arc<CandidateTrials>)>>,
}

/// A cell with what the table says of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MeasuredCell {
    /// Its key in the table.
    name: String,
    cell: NasCell,
    /// Share of right answers without analog hardware.
    digital: f64,
    /// The same on analog hardware after 30 days, trained for it.
    drifted: f64,
}

impl Arm for MeasuredCell {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

/// The cells of the table at `path` with a path from input to output, from the worst to the best after 30 days, and a digest of the table.
fn measured_cells(path: &Path) -> Result<(Vec<MeasuredCell>, u64)> {
    let table = TableRows::read(path, KEY, &COLUMNS)?;
    let space = SpaceFile::open(SPACE, None)?.space()?;
    let axis = space
        .axis(EDGE)
        .with_context(|| format!("the space {SPACE} has no axis {EDGE}"))?;
    let choices = axis.choices.iter();
    let operations: Vec<Option<CellOperation>> = choices
        .map(|choice| CellOperation::of(&choice.to_string()))
        .collect();
    let mut cells = Vec::new();
    for (name, values) in table.rows {
        let edges = name.split('-').map(|number| {
            let number: usize = number.parse().ok()?;
            operations.get(number).copied().flatten()
        });
        let edges: Option<Vec<CellOperation>> = edges.collect();
        let edges: Option<[CellOperation; 6]> = edges.and_then(|edges| edges.try_into().ok());
        let edges = edges.with_context(|| {
            format!(
                "{}: the row `{name}` is no cell of NAS-Bench-201: name six operations by their numbers from 0 to 4, as 2-0-1-3-4-2",
                path.display()
            )
        })?;
        let cell = NasCell { edges };
        if cell.is_connected() {
            cells.push(MeasuredCell {
                name,
                cell,
                digital: values[0] / 100.0,
                drifted: values[1] / 100.0,
            });
        }
    }
    // Rows come in the order of their names, which decides between equals.
    cells.sort_by(|a, b| a.drifted.total_cmp(&b.drifted));
    Ok((cells, table.digest))
}

/// The middle of each of `count` equal parts of `all`, in order.
fn evenly<T: Clone>(all: &[T], count: usize) -> Vec<T> {
    let middle = |number: usize| (2 * number + 1) * all.len() / (2 * count);
    (0..count)
        .map(|number| all[middle(number)].clone())
        .collect()
}

impl AnalogNas {
    /// The experiment with the table at `table`, on `source`.
    ///
    /// # Errors
    /// If the table cannot be read, has too few cells, or no order of those that are compared, or if the experiment does not have the extent.
    pub(crate) fn new(table: &Path, source: DataSource, extent: Extent) -> Result<Self> {
        let size = match extent {
            Extent::Quick => QUICK,
            Extent::Usual => USUAL,
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let (all, digest) = measured_cells(table)?;
        if all.len() < size.cells {
            bail!(
                "{} has {} architectures that a path leads through: {} or more are needed",
                table.display(),
                all.len(),
                size.cells
            );
        }
        let cells = evenly(&all, size.cells);
        let figures: [fn(&MeasuredCell) -> f64; 2] = [|cell| cell.digital, |cell| cell.drifted];
        for (column, figure) in COLUMNS.iter().zip(figures) {
            if cells
                .windows(2)
                .all(|two| figure(&two[0]) == figure(&two[1]))
            {
                bail!(
                    "{}: the {} compared rows are equal in `{column}`, so they come in no order: use a table in which they differ",
                    table.display(),
                    size.cells
                );
            }
        }
        Ok(Self {
            source,
            size,
            hardware: Hardware::from_toml(HARDWARE)?,
            cells,
            connected: all.len(),
            digest,
            trials: Mutex::new(None),
        })
    }

    fn recipe(&self, seed: u64) -> Recipe {
        Recipe {
            data: DataConfig {
                source: self.source.clone(),
                train: Some(self.size.train),
                validation: self.size.validation,
                test: Some(self.size.test),
            },
            training: TrainingConfig {
                epochs: self.size.epochs,
                batch: 32,
                optimizer: OptimizerConfig::Adam {
                    learning_rate: 2e-3,
                    weight_decay: 0.0,
                },
                ..TrainingConfig::default()
            },
            noise: Variation::from(Distribution::gaussian(SIGMA)),
            ..Recipe::own(seed)
        }
    }

    fn trials(&self, seed: u64, device: &Device) -> Result<Arc<CandidateTrials>> {
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        match &*trials {
            Some((own, trials)) if *own == seed => Ok(Arc::clone(trials)),
            _ => {
                let (recipe, chips) = (self.recipe(seed), self.size.chips);
                let new = CandidateTrials::new(recipe, chips, Fidelity::Weight, device)?;
                let new = Arc::new(new);
                *trials = Some((seed, Arc::clone(&new)));
                Ok(new)
            }
        }
    }
}

/// A rank correlation.
type Correlation = fn(&[f64], &[f64]) -> Option<f64>;

const CORRELATIONS: [(&str, Correlation); 2] = [
    (RANK_CORRELATIONS[0], kendall),
    (RANK_CORRELATIONS[1], spearman),
];

/// The number `name` of every arm, for each seed.
fn by_seed(cells: &Cells, name: &str) -> Vec<Vec<f64>> {
    let arms = cells.arms.iter();
    let of_arms: Vec<Vec<f64>> = arms.map(|arm| cells.values(&arm.name, name)).collect();
    let seeds = of_arms.iter().map(Vec::len).min().unwrap_or(0);
    (0..seeds)
        .map(|seed| of_arms.iter().map(|values| values[seed]).collect())
        .collect()
}

/// A number for some arms of a seed; `None` where these come in no order.
type Statistic<'a> = &'a dyn Fn(usize, &[usize]) -> Option<f64>;

/// A claim on `statistic`. The interval is that of the mean over seeds, from drawing the arms anew; drawn arms without an order are left out.
///
/// # Errors
/// If there are fewer than two arms, and if all of a seed come in no order, which is no correlation of 0.
fn over_arms(
    what: String,
    expected: (Expected, &str),
    (seeds, arms): (usize, usize),
    statistic: Statistic<'_>,
) -> Result<Claim> {
    let all: Vec<usize> = (0..arms).collect();
    let measured: Option<Vec<f64>> = (0..seeds).map(|seed| statistic(seed, &all)).collect();
    let Some(measured) = measured.filter(|measured| !measured.is_empty()) else {
        bail!(
            "no number for the claim `{what}`: all networks are equal, so they come in no order; hint: drop --quick, or use other data"
        );
    };
    let bootstrap = Bootstrap {
        confidence: CONFIDENCE,
        seed: path_hash("cells of a table"),
        ..Bootstrap::default()
    };
    let found = bootstrap.interval(arms, &|sample| {
        let of_seeds = (0..seeds).map(|seed| statistic(seed, sample));
        Some(mean(&of_seeds.collect::<Option<Vec<f64>>>()?))
    })?;
    let interval = found.map(|interval| [interval.low, interval.high]);
    let mean = mean(&measured);
    Ok(Claim {
        label: None,
        what,
        expected: expected.1.to_string(),
        verdict: expected.0.verdict(mean, interval),
        measured,
        mean,
        interval,
    })
}

impl Paper for AnalogNas {
    const NAME: &'static str = "analog-nas";
    const ABOUT: &'static str =
        "Networks of NAS-Bench-201 on phase-change memory, ranked beside a table of measurements";
    const DATA: Option<&'static str> = Some(
        "labelled items whose height and width are multiples of 4, such as cifar10:DIR (required)",
    );
    const USUAL_SOURCE: Option<&'static str> = None;
    const SEEDS: &'static str = "1";
    const NOTES: &'static str = "--table is required: the CSV of AnalogNAS-Bench. With one seed, the twelve networks take six minutes of processor time.";
    const OPTIONS: &'static [OwnOption] = &[OwnOption::Table];

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        let name = Self::NAME;
        let Some(table) = asked.table else {
            bail!("{name} needs a table: name it, such as --table analog_nasbench.csv");
        };
        let Some(source) = asked.source else {
            bail!("{name} needs data: name them, such as --data cifar10:DIR");
        };
        repeat.experiment(&Self::new(&table, source, asked.extent)?)
    }
}

impl Experiment for AnalogNas {
    type Arm = MeasuredCell;

    fn config(&self) -> Result<Value> {
        Ok(json!({
            "experiment": {
                "data": self.source.to_string(),
                "size": study::json(&self.size)?,
                "training": study::json(&self.recipe(0).training)?,
                "noise": study::json(&self.recipe(0).noise)?,
                "hardware": study::json(self.hardware.config())?,
                "table": format!("{:016x}", self.digest),
            },
        }))
    }

    fn usual_seeds(&self) -> u64 {
        1
    }

    fn data(&self) -> String {
        let size = &self.size;
        format!(
            "{}: {} training, {} validation, {} test items; {} of {} architectures of the table, spread evenly over the ranks after 30 days, with {} channels and {} cells in each stage; {} chips",
            self.source,
            size.train - size.validation,
            size.validation,
            size.test,
            size.cells,
            self.connected,
            size.channels,
            size.per_stage,
            size.chips
        )
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let share = |name: &'static str| ReproductionColumn::of(Metric::share(name));
        let mut columns: Vec<ReproductionColumn> =
            [CLEAN, CHIPS, DIGITAL, DRIFTED].map(share).into();
        columns.push(ReproductionColumn::of(Metric {
            unit: "thousands".into(),
            ..Metric::from_zero(WEIGHTS)
        }));
        columns
    }

    fn arms(&self) -> Vec<MeasuredCell> {
        self.cells.clone()
    }

    fn cell(
        &self,
        arm: &MeasuredCell,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let trials = self.trials(seed, place.device)?;
        let candidate = CellCandidate {
            input: trials.input(),
            outputs: trials.outputs(),
            channels: self.size.channels,
            cells: self.size.per_stage,
            ..CellCandidate::new(arm.cell)
        };
        let name = training_name(arm, seed);
        let cannot = || format!("cannot measure `{name}`");
        candidate.check().with_context(cannot)?;
        let mut follower = observer.training(&name);
        let told = observer.chips(&name, self.size.chips);
        let measured = trials.measure_observed(
            &candidate,
            &self.hardware,
            place.stop,
            &mut follower,
            &*told,
        );
        let Some(found) = measured
            .with_context(cannot)?
            .filter(|_| !place.is_stopped())
        else {
            return Ok(None);
        };
        let numbers = [
            (CLEAN, found.clean),
            (CHIPS, found.chips.mean()),
            (DIGITAL, arm.digital),
            (DRIFTED, arm.drifted),
            (WEIGHTS, candidate.weights() as f64 * 1e-3),
        ];
        let numbers = numbers.map(|(name, value)| (name.to_string(), value));
        Ok(Some(Cell {
            backward: found.backward,
            numbers: numbers.into_iter().collect(),
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        let numbers = [CLEAN, CHIPS, DIGITAL, DRIFTED, WEIGHTS].map(|name| by_seed(cells, name));
        let seeds = numbers.iter().map(Vec::len).min().unwrap_or(0);
        let [clean, chips, digital, drifted, weights] = numbers;
        let shape = (seeds, cells.arms.len());
        let of = |correlation: Correlation, a: &[f64], b: &[f64], sample: &[usize]| {
            let drawn = |values: &[f64]| -> Vec<f64> {
                sample.iter().map(|number| values[*number]).collect()
            };
            correlation(&drawn(a), &drawn(b))
        };
        let mut claims = Vec::new();
        for ((ours, own), (theirs, table)) in [
            ((CHIPS, &chips), (DRIFTED, &drifted)),
            ((CLEAN, &clean), (DIGITAL, &digital)),
            ((CHIPS, &chips), (DIGITAL, &digital)),
        ] {
            for (name, correlation) in CORRELATIONS {
                claims.push(over_arms(
                    format!("{name} of `{ours}` and `{theirs}`; interval over networks"),
                    (Expected::ABOVE_ZERO, "> 0"),
                    shape,
                    &|seed, sample| of(correlation, &own[seed], &table[seed], sample),
                )?);
            }
        }
        claims.push(over_arms(
            format!(
                "Kendall's τ with `{DRIFTED}`, of `{CHIPS}` over that of the number of weights; interval over networks"
            ),
            (
                Expected::ABOVE_ZERO,
                "> 0: a brief training tells more than the size",
            ),
            shape,
            &|seed, sample| {
                let trained = of(kendall, &chips[seed], &drifted[seed], sample)?;
                // Networks of one size tell no order by it.
                let counted = of(kendall, &weights[seed], &drifted[seed], sample).unwrap_or(0.0);
                Some(trained - counted)
            },
        )?);
        Ok(claims)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::cells::{ArmName, Store};
    use super::*;

    #[test]
    fn cells_are_taken_evenly() {
        let all: Vec<usize> = (0..12).collect();
        assert_eq!(evenly(&all, 3), [2, 6, 10]);
        assert_eq!(evenly(&all, 12), all);
        assert_eq!(evenly(&all, 1), [6]);
    }

    #[test]
    fn cells_of_a_table_come_in_their_order_without_those_that_nothing_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        let header = "cell,baseline_accuracy,other,analog_drift_2592000";
        let write = |rows: &str| std::fs::write(&path, format!("{header}\n{rows}")).unwrap();
        // The second row has nothing but `none`.
        write("2-1-1-0-1-0,90,1,60\n1-1-1-1-1-1,10,1,10\n1-1-3-1-1-1,80.5,1,50\n");
        let (cells, _) = measured_cells(&path).unwrap();
        let found: Vec<(&str, f64, f64)> = cells
            .iter()
            .map(|cell| (cell.name.as_str(), cell.digital, cell.drifted))
            .collect();
        assert_eq!(
            found,
            [("1-1-3-1-1-1", 0.805, 0.5), ("2-1-1-0-1-0", 0.9, 0.6)]
        );
        // Edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3.
        let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|";
        assert_eq!(cells[1].cell.to_string(), text);
        write("2-1-1-0-1,90,1,60\n");
        let message = measured_cells(&path).unwrap_err().to_string();
        assert!(
            message.contains("the row `2-1-1-0-1` is no cell"),
            "{message}"
        );
        write("2-1-1-0-1-5,90,1,60\n");
        assert!(measured_cells(&path).is_err());
    }

    #[test]
    fn a_claim_has_its_value_by_seed_and_an_interval_over_arms() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0];
        let seeds = [[1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]];
        let tau = |seed: usize, sample: &[usize]| {
            let of = |values: &[f64]| -> Vec<f64> { sample.iter().map(|at| values[*at]).collect() };
            kendall(&of(&a), &of(&seeds[seed]))
        };
        let expected = (Expected::ABOVE_ZERO, "> 0");
        let claim = over_arms("what".to_string(), expected, (2, 5), &tau).unwrap();
        // By hand: 1, and eight of ten pairs in the same order.
        assert!((claim.measured[0] - 1.0).abs() < 1e-12 && (claim.measured[1] - 0.6).abs() < 1e-12);
        assert!((claim.mean - 0.8).abs() < 1e-12);
        let [low, high] = claim.interval.unwrap();
        // The upper end is reached by samples such as the arms 0, 2 and 4, which both seeds order alike.
        assert!(low < 0.8 && (high - 1.0).abs() < 1e-12, "{low} {high}");
        // Arms that are all equal, in one seed or in all, and arms that were never measured.
        let one_seed = |seed: usize, _: &[usize]| (seed == 0).then_some(1.0);
        let refused: [(usize, Statistic<'_>); 3] =
            [(1, &|_, _| None), (2, &one_seed), (0, &one_seed)];
        for (seeds, statistic) in refused {
            let none = over_arms("what".to_string(), expected, (seeds, 3), statistic);
            let message = none.unwrap_err().to_string();
            assert!(message.contains("the claim `what`"), "{message}");
        }
    }

    /// An experiment on four networks, and their numbers: of each seed those of `CLEAN`, `CHIPS`, `DIGITAL`, `DRIFTED` and `WEIGHTS`, network by network.
    fn claims_on(seeds: &[[[f64; 4]; 5]]) -> Result<Vec<Claim>> {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("t.csv");
        let rows: String = (0..4)
            .map(|row| format!("2-2-2-2-2-{row},{row},{row}\n"))
            .collect();
        let text = format!("cell,baseline_accuracy,analog_drift_2592000\n{rows}");
        std::fs::write(&table, text).unwrap();
        let paper = AnalogNas::new(&table, "digits".parse().unwrap(), Extent::Quick).unwrap();
        let mut store = Store::open(folder.path(), json!({}), false).unwrap();
        let names = ["a", "b", "c", "d"];
        for (seed, numbers) in (1..).zip(seeds) {
            for (arm, name) in names.iter().enumerate() {
                let columns = [CLEAN, CHIPS, DIGITAL, DRIFTED, WEIGHTS]
                    .iter()
                    .zip(numbers);
                let numbers = columns.map(|(column, values)| (column.to_string(), values[arm]));
                let cell = Cell {
                    backward: 1,
                    numbers: numbers.collect(),
                };
                store.keep(seed, name, cell).unwrap();
            }
        }
        let arms = names.map(|name| ArmName {
            name: name.to_string(),
            family: name.to_string(),
        });
        let cells = store.all(seeds.len() as u64, arms.into()).unwrap();
        paper.claims(&cells)
    }

    #[test]
    fn claims_are_the_correlations_by_hand() {
        let (digital, drifted) = ([1.0, 3.0, 2.0, 4.0], [1.0, 2.0, 3.0, 4.0]);
        let weights = [5.0, 5.0, 9.0, 9.0];
        let first = [
            [4.0, 3.0, 2.0, 1.0],
            [2.0, 1.0, 3.0, 4.0],
            digital,
            drifted,
            weights,
        ];
        let second = [digital, drifted, digital, drifted, weights];
        let claims = claims_on(&[first, second]).unwrap();
        // τ of six pairs, and ρ = 1 - 6 Σ d² / 60. The sizes order four of six pairs, all as the table does: 4 / sqrt(4 · 6).
        let sizes = 4.0 / 24f64.sqrt();
        let expected = [
            // One pair is the other way round, Σ d² = 2; the same order.
            [4.0 / 6.0, 0.8],
            // One pair is as in the table, Σ d² = 18; the same order.
            [-4.0 / 6.0, -0.8],
            // Two pairs are the other way round, Σ d² = 6; one pair, Σ d² = 2.
            [2.0 / 6.0, 0.4],
        ];
        let of_second = [[1.0, 1.0], [1.0, 1.0], [4.0 / 6.0, 0.8]];
        let pairs = expected
            .into_iter()
            .flatten()
            .zip(of_second.into_iter().flatten());
        let pairs: Vec<(f64, f64)> = pairs.chain([(4.0 / 6.0 - sizes, 1.0 - sizes)]).collect();
        assert_eq!(claims.len(), pairs.len());
        for (claim, (first, second)) in claims.iter().zip(pairs) {
            let [a, b] = claim.measured[..] else {
                panic!("{claim:?}");
            };
            assert!((a - first).abs() < 1e-12, "{claim:?}");
            assert!((b - second).abs() < 1e-12, "{claim:?}");
            assert!((claim.mean - 0.5 * (first + second)).abs() < 1e-12);
            let [low, high] = claim.interval.unwrap();
            assert!(low <= claim.mean && claim.mean <= high, "{claim:?}");
        }
    }

    #[test]
    fn networks_of_one_size_tell_no_order_and_equal_ones_have_no_correlation() {
        let order = [1.0, 2.0, 3.0, 4.0];
        let of = |clean, chips, weights| claims_on(&[[clean, chips, order, order, weights]]);
        let claims = of(order, order, [7.0; 4]).unwrap();
        let last = claims.last().unwrap();
        // The order by accuracy is right, in the whole and in every sample that has one.
        assert_eq!((last.mean, last.interval), (1.0, Some([1.0, 1.0])));
        for (clean, chips) in [([0.1; 4], order), (order, [0.1; 4])] {
            let message = of(clean, chips, order).unwrap_err().to_string();
            assert!(message.contains("come in no order; hint: "), "{message}");
        }
    }

    #[test]
    fn a_table_without_an_order_is_refused_before_the_trainings() {
        let folder = tempfile::tempdir().unwrap();
        let table = folder.path().join("t.csv");
        let rows: String = (0..4)
            .map(|row| format!("2-2-2-2-2-{row},{row},80\n"))
            .collect();
        let text = format!("cell,baseline_accuracy,analog_drift_2592000\n{rows}");
        std::fs::write(&table, text).unwrap();
        let paper = AnalogNas::new(&table, "digits".parse().unwrap(), Extent::Quick);
        let message = paper.err().unwrap().to_string();
        assert!(
            message.contains("equal in `analog_drift_2592000`"),
            "{message}"
        );
    }
}
