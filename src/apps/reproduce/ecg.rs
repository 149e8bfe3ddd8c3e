//! Widths and pruning of an arrhythmia detector, on a sparse accelerator.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{read_manifest, save_checkpoint};
use crossburn_hardware::accelerator::{IntegerLayer, SignalFormat};
use crossburn_hardware::prune::PruningPattern;
use crossburn_hardware::quantize::Calibration;
use crossburn_hardware::{Quantization, WeightBits};
use crossburn_models::{
    Classifier, ModelConfig, SignalCnn, SignalCnnConfig, SignalNorm, initialize, to_integers,
};
use crossburn_noise::{Granularity, Metric, PathPattern};
use crossburn_training::data::{Augmentation, DataSource};
use crossburn_training::{
    ActivationScale, Alarms, ArraysConfig, ArrhythmiaConfig, ArrhythmiaDetection, ArrhythmiaMetric,
    Batches, BitsOfPath, DataConfig, PruningConfig, QuantizationConfig, Recipe, Run, SegmentScale,
    Tally, Task, TaskConfig, Trained, TrainingConfig, WidthBudget, bit_sensitivities,
    choose_widths, chosen_widths, train,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::cells::{Cell, Cells};
use super::claim::{Expected, claim, differences};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::ecg::{IntegerDetector, open_accelerator, segment_values, simulate};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, DataSummary, ReproductionColumn, Work};

/// The arm that the others start from.
const FLOAT: &str = "float";
/// Widths that are chosen from.
const WIDTHS: [u8; 4] = [8, 4, 2, 1];
/// Width of activations.
const ACTIVATIONS: u8 = 8;
/// Segments that pass at a time.
const BATCH: usize = 128;
/// Training segments that set the step of the signal.
const CALIBRATION: usize = 128;

const ACCURACY: &str = "accuracy";
const VOTED: &str = "voted accuracy";
const BITS: &str = "weight bits";
const SIZE: &str = "KiB";
const CYCLES: &str = "cycles of dense";
const UTILISATION: &str = "utilisation";
const POWER: &str = "µW";
const EXACT: &str = "exact";

/// Do mixed widths and balanced pruning keep what a detector of ventricular arrhythmia knows, and what do they spare on an accelerator?
///
/// Every training in integers starts from that in full precision of the same seed. Its row is about the integers on the simulated accelerator,
/// not about the network in floats that they come from.
///
/// # Source
/// Qin et al., "A Mixed-Bit-Width Sparse CNN Accelerator", ASP-DAC 2025 (arXiv 2410.17395): 99.95 % of votes of six segments are right, 10.60 µW.
/// How widths are chosen and which pattern is pruned to is not in the paper.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EcgPaper {
    task: ArrhythmiaConfig,
    model: SignalCnnConfig,
    data: DataConfig,
    /// The training in full precision.
    float: TrainingConfig,
    /// That of every other network, which starts from it.
    narrow: TrainingConfig,
    quantization: QuantizationConfig,
    accelerator: &'static str,
}

/// Bits of weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Widths {
    Float,
    Uniform(WeightBits),
    /// One for each layer, of at most this mean over weights.
    Mixed(u8),
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EcgArm {
    name: String,
    widths: Widths,
    pruning: Option<PruningPattern>,
}

impl Arm for EcgArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }

    fn starts_from_another(&self) -> bool {
        self.widths != Widths::Float
    }
}

fn uniform(bits: u8) -> String {
    match bits {
        1 => "1 bit".to_string(),
        bits => format!("{bits} bits"),
    }
}

fn mixed(most: u8) -> String {
    format!("mixed, {most} in the mean")
}

fn pruned(name: &str, pattern: &str) -> String {
    format!("{name}, {pattern}")
}

/// Patterns that the mixed network is pruned to.
const PATTERNS: [&str; 3] = ["2:4", "8:16", "unstructured:0.5"];

impl EcgPaper {
    /// The experiment on procedural electrograms or on those of a folder.
    ///
    /// # Errors
    /// Another data source, or an extent that it does not have.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        if source.kind() != "iegm" {
            bail!("this paper's experiment is not defined on {source}: use iegm or iegm:DIR");
        }
        let procedural = source.to_string() == "iegm";
        let (train, validation, test, epochs) = match extent {
            Extent::Quick => (Some(400), 80, Some(160), 2),
            // More patients to judge by than the page's 16: the votes of a patient are few, and wrong together.
            Extent::Usual if procedural => (Some(2400), 480, Some(4000), 20),
            Extent::Usual => (None, 1400, None, 20),
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
        };
        let float = TrainingConfig {
            epochs,
            batch: 32,
            augmentation: Augmentation {
                crop_padding: 64,
                ..Augmentation::default()
            },
            ..TrainingConfig::default()
        };
        Ok(Self {
            task: ArrhythmiaConfig {
                scale: SegmentScale::Segment,
                ..ArrhythmiaConfig::default()
            },
            model: SignalCnnConfig {
                norm: SignalNorm::BeforeActivation,
                ..SignalCnnConfig::baseline(2)
            },
            data: DataConfig {
                source,
                train,
                validation,
                test,
            },
            narrow: float.clone(),
            float,
            quantization: QuantizationConfig {
                granularity: Granularity::PerChannel,
                calibration: Calibration::default(),
                activation_scale: ActivationScale::PowerOfTwo,
            },
            accelerator: "sparse-40nm",
        })
    }

    /// The recipe of `arm`, whose layers have `widths` where each has its own.
    fn recipe(
        &self,
        arm: &EcgArm,
        seed: u64,
        widths: &BTreeMap<String, WeightBits>,
        place: &Place<'_>,
    ) -> Result<Recipe> {
        let bits = match arm.widths {
            Widths::Float => None,
            Widths::Uniform(_) | Widths::Mixed(_) => Some(WeightBits::new(ACTIVATIONS)?),
        };
        let everywhere = match arm.widths {
            Widths::Uniform(bits) => vec![("*".to_string(), bits)],
            Widths::Float | Widths::Mixed(_) => Vec::new(),
        };
        let own = widths.iter().map(|(path, bits)| (path.clone(), *bits));
        let bits_of_path = everywhere.into_iter().chain(own);
        let bits_of_path = bits_of_path.map(|(path, bits)| BitsOfPath {
            path: PathPattern::new(path),
            bits: Some(bits),
        });
        let training = match arm.starts_from_another() {
            true => TrainingConfig {
                from: Some(place.trained(FLOAT, seed)),
                ..self.narrow.clone()
            },
            false => self.float.clone(),
        };
        Ok(Recipe {
            task: TaskConfig::ArrhythmiaDetection(self.task.clone()),
            model: ModelConfig::SignalCnn(SignalCnnConfig {
                bits,
                ..self.model.clone()
            }),
            data: self.data.clone(),
            training,
            arrays: ArraysConfig {
                bits: bits_of_path.collect(),
                ..ArraysConfig::default()
            },
            quantization: self.quantization,
            pruning: arm.pruning.map(PruningConfig::new),
            ..Recipe::own(seed)
        })
    }

    /// The network of `recipe` as its training starts.
    fn network(&self, recipe: &Recipe, device: &Device) -> Result<SignalCnn> {
        let config = SignalCnnConfig {
            bits: recipe.model.bits(),
            ..self.model.clone()
        };
        let network = initialize(config.init(device), recipe.seed);
        Ok(recipe.started(recipe.quantization.activations(network))?)
    }

    /// The widths with the smallest rise of the loss on `validation`, of at most `most` bits in the mean, for the network in full
    /// precision; `None` where it was stopped.
    fn choose(
        &self,
        most: u8,
        seed: u64,
        validation: &ArrhythmiaDetection,
        place: &Place<'_>,
    ) -> Result<Option<BTreeMap<String, WeightBits>>> {
        let unpruned = EcgArm {
            name: FLOAT.to_string(),
            widths: Widths::Float,
            pruning: None,
        };
        let mut recipe = self.recipe(&unpruned, seed, &BTreeMap::new(), place)?;
        recipe.training.from = Some(place.trained(FLOAT, seed));
        let network = self.network(&recipe, place.device)?;
        let widths: Vec<WeightBits> = WIDTHS
            .into_iter()
            .map(WeightBits::new)
            .collect::<Result<_, _>>()?;
        let of = |bits| Quantization {
            granularity: self.quantization.granularity,
            ..Quantization::from(bits)
        };
        let batches = Batches::new(validation, BATCH, place.device)?;
        let plan = recipe.weights::<SignalCnn>();
        let found = bit_sensitivities(&network, &plan, &widths, of, &batches, place.stop)?;
        let Some((_, layers)) = found else {
            return Ok(None);
        };
        let weights: usize = layers.iter().map(|layer| layer.weights).sum();
        let budget = WidthBudget::Size(weights as u64 * u64::from(most));
        let chosen = choose_widths(&layers, budget)
            .with_context(|| format!("no widths have a mean of {most} bits"))?;
        Ok(Some(chosen_widths(&layers, &chosen)))
    }

    /// What the network is in integers, on the accelerator.
    fn on_accelerator(
        &self,
        recipe: &Recipe,
        trained: &Trained<SignalCnn>,
        learn: &ArrhythmiaDetection,
        test: &ArrhythmiaDetection,
        device: &Device,
    ) -> Result<(Alarms, BTreeMap<String, f64>)> {
        let items: Vec<usize> = (0..learn.items().min(CALIBRATION)).collect();
        let batch = learn.batch(&items, device)?;
        let signal = SignalFormat::fitting(
            self.model.channels,
            self.model.points,
            &segment_values(&batch)?,
        )?;
        let plan = recipe.weights::<SignalCnn>();
        let network = to_integers(&trained.network, &plan, trained.programmed, signal)?;
        let weights = |of: fn(&IntegerLayer) -> u64| network.layers().iter().map(of).sum::<u64>();
        let bits = weights(|layer| layer.weights.len() as u64 * u64::from(layer.weight_bits));
        let stored = weights(|layer| {
            let stored = layer.stored_bits();
            stored.weights + stored.index + stored.parameters
        });
        let mean = bits as f64 / weights(|layer| layer.weights.len() as u64) as f64;
        let conventions = learn
            .conventions()
            .context("segments have no conventions")?;
        let data = (&recipe.data, recipe.seed);
        let detector = IntegerDetector::new(network, &self.task, conventions, data);
        let accelerator = open_accelerator(self.accelerator)?;
        let found = simulate(&detector, &accelerator, test, device)?;
        let work = Work::of(&found.layers);
        let numbers = [
            (BITS, mean),
            (SIZE, stored as f64 / 8192.0),
            (CYCLES, work.ratio()),
            (UTILISATION, work.utilisation()),
            (POWER, 1e6 * found.cost.average_power.get()),
            (EXACT, found.equal as f64 / test.items() as f64),
        ];
        let numbers = numbers.map(|(name, value)| (name.to_string(), value));
        Ok((found.alarms, numbers.into()))
    }
}

impl Experiment for EcgPaper {
    const NAME: &'static str = "ecg";
    type Arm = EcgArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({ "experiment": study::json(self)? }))
    }

    fn data(&self) -> String {
        let DataConfig { source, test, .. } = &self.data;
        match test {
            Some(test) => {
                format!("{source}: patients of their own for each seed, {test} test segments")
            }
            None => format!("{source}: the same patients for each seed"),
        }
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let shares = [
            ArrhythmiaMetric::Accuracy,
            ArrhythmiaMetric::F2,
            ArrhythmiaMetric::VotedAccuracy,
        ];
        let metrics = shares.map(ArrhythmiaMetric::metric).into_iter().chain([
            Metric::from_zero(BITS),
            Metric::from_zero(SIZE),
            Metric::share(CYCLES),
            Metric::share(UTILISATION),
            Metric::from_zero(POWER),
            Metric::share(EXACT),
        ]);
        let column = |metric: Metric| ReproductionColumn {
            name: metric.name.to_string(),
            metric,
        };
        metrics.map(column).collect()
    }

    fn arms(&self) -> Vec<EcgArm> {
        let arm = |name, widths, pruning| EcgArm {
            name,
            widths,
            pruning,
        };
        let mut arms = vec![arm(FLOAT.to_string(), Widths::Float, None)];
        let bits = WIDTHS
            .into_iter()
            .filter_map(|bits| WeightBits::new(bits).ok());
        arms.extend(bits.map(|bits| arm(uniform(bits.get()), Widths::Uniform(bits), None)));
        arms.extend([4, 2].map(|most| arm(mixed(most), Widths::Mixed(most), None)));
        let patterns = PATTERNS.into_iter().filter_map(|text| {
            let pattern = text.parse().ok()?;
            Some(arm(
                pruned(&mixed(4), text),
                Widths::Mixed(4),
                Some(pattern),
            ))
        });
        arms.extend(patterns);
        arms
    }

    fn cell(
        &self,
        arm: &EcgArm,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Cell>> {
        let DataConfig {
            source,
            train: items,
            validation,
            test,
        } = &self.data;
        let part = |samples| ArrhythmiaDetection::new(samples, &self.task);
        let training = part(source.training_samples(seed, (*items).into())?);
        let test = part(source.test_samples(seed, (*test).into())?);
        let (learn, validation) = training.hold_back(training.items().saturating_sub(*validation));
        let widths = match arm.widths {
            Widths::Mixed(most) => self.choose(most, seed, &validation, place)?,
            Widths::Float | Widths::Uniform(_) => Some(BTreeMap::new()),
        };
        let Some(widths) = widths else {
            return Ok(None);
        };
        let recipe = self.recipe(arm, seed, &widths, place)?;
        let device = place.device.clone().autodiff();
        let run = Run {
            train: &learn,
            validation: &validation,
            device: &device,
            state: None,
            resume: false,
        };
        let name = training_name(arm, seed);
        let mut follower = observer.training(&name);
        let trained = train(
            self.network(&recipe, &device)?,
            &recipe,
            &run,
            &mut follower,
        )
        .with_context(|| format!("cannot train `{name}`"))?;
        drop(follower);
        if trained.interrupted || place.is_stopped() {
            return Ok(None);
        }
        let (alarms, mut numbers, before) = match arm.widths {
            Widths::Float => {
                let summary = DataSummary {
                    source: source.to_string(),
                    train: learn.items(),
                    validation: validation.items(),
                    test: test.items(),
                };
                let manifest = study::manifest(&recipe, &summary)?
                    .with_metric(BACKWARD, trained.passes.backward as f64);
                save_checkpoint(&place.trained(FLOAT, seed), &trained.network, &manifest)?;
                let numbers = BTreeMap::from([(BITS.to_string(), 32.0)]);
                let batches = Batches::new(&test, BATCH, place.device)?;
                let mut alarms = Alarms::default();
                for batch in batches.iter() {
                    let outputs = trained.network.forward(batch.inputs().clone());
                    alarms.merge(test.alarms(outputs, batch)?);
                }
                (alarms, numbers, 0)
            }
            Widths::Uniform(_) | Widths::Mixed(_) => {
                let (alarms, numbers) =
                    self.on_accelerator(&recipe, &trained, &learn, &test, place.device)?;
                let started = read_manifest(&place.trained(FLOAT, seed))?;
                let before = started.metrics.get(BACKWARD).copied().unwrap_or_default();
                (alarms, numbers, before as u64)
            }
        };
        let shares = [
            ArrhythmiaMetric::Accuracy,
            ArrhythmiaMetric::F2,
            ArrhythmiaMetric::VotedAccuracy,
        ];
        for metric in shares {
            let value = test.measured(metric, &alarms)?;
            numbers.insert(metric.metric().name.into_owned(), value);
        }
        Ok(Some(Cell {
            backward: before + trained.passes.backward,
            numbers,
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        let accuracy = |arm: &str| cells.of(arm, ACCURACY);
        let lost = |arm: &str| differences(&accuracy(FLOAT), &accuracy(arm));
        let sparse = PATTERNS.map(|pattern| pruned(&mixed(4), pattern));
        let mut claims = vec![
            claim(
                "accuracy of segments in full precision: the set is neither trivial nor hopeless",
                (Expected::Between(93.0, 98.0), "93 to 98 %"),
                accuracy(FLOAT),
            )?,
            claim(
                "points that 8 bits lose",
                (Expected::AtMost(0.3), "≤ 0.3"),
                lost(&uniform(8)),
            )?,
        ];
        for arm in &sparse[..2] {
            claims.push(claim(
                format!("points lost: {arm}"),
                (Expected::AtMost(1.0), "≤ 1.0"),
                lost(arm),
            )?);
            let bits = cells.values(arm, BITS);
            claims.push(claim(
                format!("bits of a weight: {arm}"),
                (Expected::AtMost(4.0), "≤ 4"),
                bits,
            )?);
        }
        let over = |wide: &str, narrow: &str| differences(&accuracy(wide), &accuracy(narrow));
        claims.push(claim(
            "points, mixed over uniform 1 bit",
            (Expected::AtLeast(1.0), "≥ 1"),
            over(&mixed(4), &uniform(1)),
        )?);
        for bits in [4, 2] {
            claims.push(claim(
                format!("points, mixed over uniform {bits} bits of the same size"),
                (Expected::AtLeast(0.0), "≥ 0"),
                over(&mixed(bits), &uniform(bits)),
            )?);
        }
        for arm in [FLOAT, &sparse[0]] {
            claims.push(claim(
                format!("points that a vote of six gains: {arm}"),
                (Expected::AtLeast(0.0), "> 0"),
                differences(&cells.of(arm, VOTED), &accuracy(arm)),
            )?);
        }
        claims.push(claim(
            format!("votes that are right: {}", sparse[0]),
            (Expected::AtLeast(99.5), "≥ 99.5 %; the chip has 99.95"),
            cells.of(&sparse[0], VOTED),
        )?);
        for (arm, expected, words) in [
            (&sparse[0], Expected::Between(48.0, 52.0), "50 ± 2 %"),
            (&sparse[1], Expected::Between(48.0, 52.0), "50 ± 2 %"),
            (
                &sparse[2],
                Expected::AtLeast(55.0),
                "clearly more than 50 %, typically 60 to 75: the processing element with most weights decides",
            ),
        ] {
            claims.push(claim(
                format!("cycles of those of the dense network: {arm}"),
                (expected, words),
                cells.of(arm, CYCLES),
            )?);
        }
        let exact = cells.arms.iter().flat_map(|arm| cells.of(&arm.name, EXACT));
        let least = exact.fold(f64::INFINITY, f64::min);
        claims.push(claim(
            "test segments with the results of the integer network to the bit, in the training that has fewest",
            (Expected::AtLeast(100.0), "all"),
            vec![least],
        )?);
        Ok(claims)
    }
}

/// Name of what a training cost, in the manifest of its checkpoint.
const BACKWARD: &str = "items_backward";
