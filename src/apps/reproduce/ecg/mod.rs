//! Quantization and pruning of an arrhythmia detector, on a sparse accelerator.

mod claims;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{read_manifest, save_checkpoint};
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
use super::registry::{Asked, Paper, Repeat};
use super::{Arm, Experiment, Extent, Place, training_name};
use crate::apps::ecg::{BATCH, IntegerDetector, open_accelerator, signal_format, simulate};
use crate::apps::study::{self, StudyObserver};
use crate::report::{Claim, DataSummary, ReproductionColumn, SimulatedLayer, Work, mean_bits};

/// The arm from which the others start.
const FLOAT: &str = "float";
/// The same network, trained as long as the others. Their loss is measured against it.
const LONGER: &str = "float, trained on";
/// The allowed bits of weights.
const WIDTHS: [u8; 4] = [8, 4, 2, 1];
/// Width of activations.
const ACTIVATIONS: u8 = 8;
/// The metrics of all networks.
const SHARES: [ArrhythmiaMetric; 3] = [
    ArrhythmiaMetric::Accuracy,
    ArrhythmiaMetric::F2,
    ArrhythmiaMetric::VotedAccuracy,
];

/// Key of the cost of a training, in the manifest of its checkpoint.
const BACKWARD: &str = "items_backward";

const ACCURACY: &str = "accuracy";
const VOTED: &str = "voted accuracy";
const BITS: &str = "weight bits";
const SIZE: &str = "KiB";
const CYCLES: &str = "cycles of dense";
const UTILISATION: &str = "utilisation";
const ENERGY: &str = "nJ";
const EXACT: &str = "exact";

/// Do mixed bits and balanced pruning preserve a detector of ventricular arrhythmia, and what do they save on an accelerator?
///
/// Every training in integers starts from the full-precision training of the same seed. Its row describes the integer network on the simulated accelerator,
/// not the network in floats from which it was made.
///
/// # Source
/// Qin et al., "A Mixed-Bit-Width Sparse CNN Accelerator", ASP-DAC 2025 (arXiv 2410.17395): 99.95 % of votes of six segments are right, at 10.60 µW. The
/// paper does not say how bits are chosen and which pattern is pruned to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EcgPaper {
    task: ArrhythmiaConfig,
    model: SignalCnnConfig,
    data: DataConfig,
    /// Whether every seed has its own patients.
    procedural: bool,
    /// The full-precision training.
    float: TrainingConfig,
    /// The training of every other network, which starts from it.
    narrow: TrainingConfig,
    quantization: QuantizationConfig,
    widths: Vec<WeightBits>,
    patterns: Vec<PruningPattern>,
    accelerator: &'static str,
}

/// The bits of weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Widths {
    Float,
    Uniform(WeightBits),
    /// Bits chosen for each layer. Their mean over weights is at most this.
    Mixed(u8),
}

/// One way of training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct EcgArm {
    name: String,
    widths: Widths,
    pruning: Option<PruningPattern>,
    /// Whether it starts from [`FLOAT`].
    narrows: bool,
}

impl Arm for EcgArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }

    fn starts_from_another(&self) -> bool {
        self.narrows
    }
}

fn uniform(bits: u8) -> String {
    match bits {
        1 => "1 bit".to_string(),
        bits => format!("{bits} bits"),
    }
}

fn mixed(most: u8) -> String {
    format!("mixed, mean {most} bits")
}

fn pruned(name: &str, pattern: &str) -> String {
    format!("{name}, {pattern}")
}

/// The patterns to which the mixed network is pruned.
const PATTERNS: [&str; 3] = ["2:4", "8:16", "unstructured:0.5"];

impl EcgPaper {
    /// The experiment on procedural electrograms, or on those in a folder.
    ///
    /// # Errors
    /// If the source is another one, or if the experiment does not have the extent.
    pub(crate) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        if source.kind() != "iegm" {
            bail!("this paper's experiment is not defined on {source}: use iegm or iegm:DIR");
        }
        let procedural = !source.to_string().starts_with("iegm:");
        let (train, validation, test, epochs) = match extent {
            Extent::Quick => (Some(400), 80, Some(160), 2),
            // More patients than the default 16 of `iegm`. A patient has few votes, which tend to be wrong together.
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
            procedural,
            narrow: float.clone(),
            float,
            quantization: QuantizationConfig {
                granularity: Granularity::PerChannel,
                calibration: Calibration::default(),
                activation_scale: ActivationScale::PowerOfTwo,
            },
            widths: WIDTHS
                .into_iter()
                .map(WeightBits::new)
                .collect::<Result<_, _>>()?,
            patterns: PATTERNS
                .into_iter()
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            accelerator: "sparse-40nm",
        })
    }

    /// The recipe of `arm`. Its layers have `widths`, if each has its own.
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

    /// The network of `recipe` before its training.
    fn network(&self, recipe: &Recipe, device: &Device) -> Result<SignalCnn> {
        let config = SignalCnnConfig {
            bits: recipe.model.bits(),
            ..self.model.clone()
        };
        let network = initialize(config.init(device), recipe.seed);
        Ok(recipe.started(recipe.quantization.activations(network))?)
    }

    /// For the full-precision network, the bits that raise the loss on `validation` least, with a mean of at most `most` bits; `None` if it was stopped.
    fn choose(
        &self,
        most: u8,
        seed: u64,
        validation: &ArrhythmiaDetection,
        place: &Place<'_>,
    ) -> Result<Option<BTreeMap<String, WeightBits>>> {
        let unpruned = EcgArm {
            name: LONGER.to_string(),
            widths: Widths::Float,
            pruning: None,
            narrows: true,
        };
        let recipe = self.recipe(&unpruned, seed, &BTreeMap::new(), place)?;
        let network = self.network(&recipe, place.device)?;
        let of = |bits| Quantization {
            granularity: self.quantization.granularity,
            ..Quantization::from(bits)
        };
        let batches = Batches::new(validation, BATCH, place.device)?;
        let plan = recipe.weights::<SignalCnn>();
        let found = bit_sensitivities(&network, &plan, &self.widths, of, &batches, place.stop)?;
        let Some((_, layers)) = found else {
            return Ok(None);
        };
        let weights: usize = layers.iter().map(|layer| layer.weights).sum();
        let budget = WidthBudget::Size(weights as u64 * u64::from(most));
        let chosen = choose_widths(&layers, budget)
            .with_context(|| format!("no widths have a mean of {most} bits"))?;
        Ok(Some(chosen_widths(&layers, &chosen)))
    }

    /// The results of the network in integers on the accelerator.
    fn on_accelerator(
        &self,
        recipe: &Recipe,
        trained: &Trained<SignalCnn>,
        learn: &ArrhythmiaDetection,
        test: &ArrhythmiaDetection,
        device: &Device,
    ) -> Result<(Alarms, BTreeMap<String, f64>)> {
        let signal = signal_format(learn, device)?;
        let plan = recipe.weights::<SignalCnn>();
        let network = to_integers(&trained.network, &plan, trained.programmed, signal)?;
        let conventions = learn
            .conventions()
            .context("segments have no conventions")?;
        let data = (&recipe.data, recipe.seed);
        let detector = IntegerDetector::new(network, &self.task, conventions, data);
        let accelerator = open_accelerator(self.accelerator)?;
        let found = simulate(&detector, &accelerator, test, device)?;
        let work = Work::of(&found.layers);
        let widths = found.layers.iter().map(SimulatedLayer::widths);
        let numbers = [
            (BITS, mean_bits(widths)),
            (SIZE, work.stored_bits as f64 / 8192.0),
            (CYCLES, work.ratio()),
            (UTILISATION, work.utilisation()),
            (ENERGY, 1e9 * found.cost.active_energy().get()),
            (EXACT, found.equal as f64 / test.items() as f64),
        ];
        let numbers = numbers.map(|(name, value)| (name.to_string(), value));
        Ok((found.alarms, numbers.into()))
    }
}

impl Paper for EcgPaper {
    const NAME: &'static str = "ecg";
    const ABOUT: &'static str =
        "Mixed widths and pruning of an arrhythmia detector on a sparse accelerator";
    const DATA: Option<&'static str> = Some("iegm or iegm:DIR");
    const USUAL_SOURCE: Option<&'static str> = Some("iegm");
    const NOTES: &'static str = "On two cores, five seeds take nine minutes.";

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        repeat.experiment(&Self::new(asked.source()?, asked.extent)?)
    }
}

impl Experiment for EcgPaper {
    type Arm = EcgArm;

    fn config(&self) -> Result<Value> {
        Ok(json!({ "experiment": study::json(self)? }))
    }

    fn data(&self) -> String {
        let source = &self.data.source;
        match self.procedural {
            true => format!("{source}: other patients for each seed"),
            false => format!("{source}: the same patients for each seed"),
        }
    }

    fn columns(&self) -> Vec<ReproductionColumn> {
        let metrics = SHARES.map(ArrhythmiaMetric::metric).into_iter().chain([
            Metric::from_zero(BITS),
            Metric::from_zero(SIZE),
            Metric::share(CYCLES),
            Metric::share(UTILISATION),
            Metric::from_zero(ENERGY),
            Metric::share(EXACT),
        ]);
        metrics.map(ReproductionColumn::of).collect()
    }

    fn arms(&self) -> Vec<EcgArm> {
        let arm = |name: &str, widths, pruning| EcgArm {
            name: name.to_string(),
            widths,
            pruning,
            narrows: name != FLOAT,
        };
        let mut arms = vec![
            arm(FLOAT, Widths::Float, None),
            arm(LONGER, Widths::Float, None),
        ];
        let widths = self.widths.iter();
        arms.extend(widths.map(|bits| arm(&uniform(bits.get()), Widths::Uniform(*bits), None)));
        arms.extend([4, 2].map(|most| arm(&mixed(most), Widths::Mixed(most), None)));
        let patterns = PATTERNS.iter().zip(&self.patterns);
        arms.extend(patterns.map(|(text, pattern)| {
            arm(&pruned(&mixed(4), text), Widths::Mixed(4), Some(*pattern))
        }));
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
        let (alarms, mut numbers) = match arm.widths {
            Widths::Float => {
                let batches = Batches::new(&test, BATCH, place.device)?;
                let mut alarms = Alarms::default();
                for batch in batches.iter() {
                    let batch = batch?;
                    let outputs = trained.network.forward(batch.inputs().clone());
                    alarms.merge(test.alarms(outputs, &batch)?);
                }
                (alarms, BTreeMap::from([(BITS.to_string(), 32.0)]))
            }
            Widths::Uniform(_) | Widths::Mixed(_) => {
                self.on_accelerator(&recipe, &trained, &learn, &test, place.device)?
            }
        };
        let start = place.trained(FLOAT, seed);
        let before = match arm.narrows {
            true => {
                let cost = read_manifest(&start)?.metrics.get(BACKWARD).copied();
                cost.with_context(|| {
                    format!("{} does not say what its training cost", start.display())
                })?
            }
            false => {
                let summary = DataSummary {
                    source: source.to_string(),
                    train: learn.items(),
                    validation: validation.items(),
                    test: test.items(),
                };
                let manifest = study::manifest(&recipe, &summary)?
                    .with_metric(BACKWARD, trained.passes.backward as f64);
                save_checkpoint(&start, &trained.network, &manifest)?;
                0.0
            }
        };
        for metric in SHARES {
            let value = test.measured(metric, &alarms)?;
            numbers.insert(metric.metric().name.into_owned(), value);
        }
        Ok(Some(Cell {
            backward: before as u64 + trained.passes.backward,
            numbers,
        }))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        claims::claims(cells)
    }
}
