//! Designs that are trained: each is a network, which learns and is then judged on chips of the hardware that the design asks for.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_hardware::{MemoryDevice, WeightBits};
use crossburn_models::nas::{CandidateNorm, CandidatePool, ConvolutionalCandidate};
use crossburn_noise::{Better, Variation, path_hash};
use crossburn_training::data::DataSource;
use crossburn_training::search::{
    Design, Draws, GroupCounts, Judge, Judged, Measure, Space, equality, unfairness,
};
use crossburn_training::{
    CandidateResult, CandidateTrials, DataConfig, Recipe, TrainingConfig, TrainingError,
};
use serde::{Deserialize, Serialize};

use super::axes::{Axes, Cost, refusal};
use super::once::Once;

/// How a space file calls this evaluation.
const KIND: &str = "training";
/// Designs of which one must be possible.
const TRIES: usize = 100;

/// Every design is trained, and judged on chips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainedConfig {
    /// Seed of initial weights, order of items, procedural data, noise and chips: the same for all designs.
    #[serde(default = "one")]
    seed: u64,
    /// What designs learn from and are judged on.
    data: DataConfig,
    /// How they are trained.
    #[serde(default)]
    training: TrainingConfig,
    /// Variation that is drawn at every training step.
    #[serde(default)]
    noise: Variation,
    /// The accelerator whose chips are made and whose costs are counted; axes of the hardware change it.
    #[serde(default = "isaac")]
    accelerator: String,
    /// Cells in place of those of the accelerator: the name of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Chips that a design is judged on.
    #[serde(default = "thirty")]
    chips: u64,
    /// Whether chips compute with the weights that cells hold, or with every product on its arrays.
    #[serde(default)]
    fidelity: Fidelity,
    /// Whether designs are also measured by how differently their chips serve the groups of the test items.
    #[serde(default)]
    groups: bool,
    /// What designs do not say of their networks.
    #[serde(default)]
    network: OpenConfig,
}

impl TrainedConfig {
    /// The same on `source`.
    pub(super) fn trained_on(self, source: DataSource) -> Self {
        let data = DataConfig {
            source,
            ..self.data
        };
        Self { data, ..self }
    }

    /// The same with a tenth of the work, to see that everything runs.
    pub(super) fn tried_out(self) -> Self {
        let tenth = |count: usize| count.div_ceil(10);
        Self {
            data: DataConfig {
                train: self.data.train.map(tenth),
                validation: tenth(self.data.validation),
                test: self.data.test.map(tenth),
                ..self.data
            },
            training: TrainingConfig {
                epochs: 1,
                ..self.training
            },
            chips: self.chips.div_ceil(10),
            ..self
        }
    }
}

fn one() -> u64 {
    1
}

fn isaac() -> String {
    "isaac".to_string()
}

fn thirty() -> u64 {
    30
}

/// What designs do not say of their networks; an axis of the same meaning comes before it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OpenConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<usize>,
    norm: CandidateNorm,
    dropout: f64,
    pool: CandidatePool,
    /// Width of weights and activations.
    #[serde(skip_serializing_if = "Option::is_none")]
    bits: Option<WeightBits>,
}

/// The measures of fairness between so many groups, in their order.
fn fairness(groups: usize) -> &'static [&'static str] {
    match groups {
        0 => &[],
        2 => &["unfairness", "eopp0", "eopp1", "eodd", "eodd-apart"],
        _ => &["unfairness"],
    }
}

/// Their values, none where a rate is not defined.
fn fairness_of(groups: &[GroupCounts]) -> Option<Vec<f64>> {
    let mut found = match groups {
        [] => return Some(Vec::new()),
        groups => vec![unfairness(groups)?],
    };
    if let [first, second] = groups {
        let equality = equality([first, second])?;
        found.extend([
            equality.eopp0,
            equality.eopp1,
            equality.eodd,
            equality.eodd_apart,
        ]);
    }
    Some(found)
}

/// The trained designs of a space.
pub(super) struct Trained {
    config: TrainedConfig,
    trials: CandidateTrials,
    axes: Axes,
    measures: Vec<Measure>,
    made: Once,
    stop: Arc<AtomicBool>,
}

impl Trained {
    /// Trainings of the designs of `space`, on this machine's cores; setting `stop` ends the one that is going on.
    ///
    /// # Errors
    /// Data that cannot be read, an axis that has no meaning here, and settings that no training has.
    pub(super) fn new(
        config: &TrainedConfig,
        space: &Space,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let mut hardware = Hardware::preset(&config.accelerator)?;
        if let Some(name) = &config.device {
            if space.axis("device").is_some() {
                let problem = "device = \"…\" and an axis `device`".to_string();
                return Err(refusal(KIND, problem, "leave one of them out"));
            }
            hardware = hardware.with(Some(MemoryDevice::preset(name)?), None)?;
        }
        if config.fidelity == Fidelity::Weight {
            // Nothing that reads a cell is simulated, so that the cheapest would always win.
            let unseen = ["adc_bits", "array", "columns_per_converter"];
            if let Some(axis) = unseen.iter().find(|name| space.axis(name).is_some()) {
                let problem = format!("axis `{axis}` changes the cost alone at weight fidelity");
                return Err(refusal(
                    KIND,
                    problem,
                    "set fidelity = \"array\", or leave the axis out",
                ));
            }
        }
        if config.training.from.is_some() {
            let problem = "training.from = … has weights of one network".to_string();
            return Err(refusal(
                KIND,
                problem,
                "leave it out: designs are different networks",
            ));
        }
        let recipe = Recipe {
            data: config.data.clone(),
            training: config.training.clone(),
            noise: config.noise,
            ..Recipe::own(config.seed)
        };
        recipe
            .check()
            .with_context(|| format!("evaluation.kind = {KIND}"))?;
        let device = Device::flex();
        let mut trials = CandidateTrials::new(recipe, config.chips, config.fidelity, &device)?;
        if config.groups {
            trials = trials.by_group()?;
        }
        let open = &config.network;
        let network = ConvolutionalCandidate {
            hidden: open.hidden,
            norm: open.norm,
            dropout: open.dropout,
            pool: open.pool,
            bits: open.bits,
            ..ConvolutionalCandidate::new(trials.input(), trials.outputs(), Vec::new())
        };
        let quality = Measure::new("quality", "", Better::Higher);
        let rest = ["kpp1", "clean"].map(|name| Measure::new(name, "", Better::Higher));
        let fair = fairness(trials.groups().len());
        let fair = fair
            .iter()
            .map(|name| Measure::new(name, "", Better::Lower));
        let measures = [quality].into_iter().chain(Cost::measures());
        let measures = measures.chain(rest).chain(fair);
        let trained = Self {
            config: config.clone(),
            axes: Axes::new(KIND, space, network, &hardware)?,
            measures: measures.collect(),
            trials,
            made: Once::default(),
            stop,
        };
        trained.require_one(space)?;
        Ok(trained)
    }

    /// Refuses a space of which no random design can be built.
    fn require_one(&self, space: &Space) -> Result<()> {
        let mut draws = Draws::new(0, "built");
        let mut reason = None;
        for design in (0..TRIES).filter_map(|_| space.draw(&mut draws)) {
            match self.cost(space, &design) {
                Ok(_) => return Ok(()),
                Err(problem) => reason = Some(problem),
            }
        }
        let problem = reason.unwrap_or_default();
        Err(refusal(
            KIND,
            format!("none of {TRIES} random designs can be built, such as: {problem}"),
            "change the axes or the data",
        ))
    }

    /// How designs are measured.
    pub(super) fn words(&self) -> String {
        let config = &self.config;
        let device = match &config.device {
            Some(device) => format!(" with {device} cells"),
            None => String::new(),
        };
        format!(
            "training: {} epochs on {}; quality is the mean over {} chips of {}{device}, kpp1 their first percentile, clean that without variation; cost by the cost model",
            config.training.epochs, config.data.source, config.chips, config.accelerator
        )
    }

    /// A number that differs where the items differ.
    pub(super) fn digest(&self) -> u64 {
        path_hash(&self.trials.digest())
    }

    /// The cost of a design, before anything is trained.
    fn cost(&self, space: &Space, design: &Design) -> Result<Cost, String> {
        let candidate = self.axes.candidate(space, design)?;
        self.axes.cost(space, design, &candidate)
    }

    fn measured(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let built = self.axes.candidate(space, design).and_then(|candidate| {
            let cost = self.axes.cost(space, design, &candidate)?;
            Ok((candidate, cost, self.axes.hardware(space, design)?))
        });
        let (candidate, cost, hardware) = match built {
            Ok(built) => built,
            Err(reason) => return Ok(Judged::Refused(reason)),
        };
        let found = self.trials.measure(&candidate, &hardware, &self.stop)?;
        let found: CandidateResult = found.ok_or(TrainingError::Stopped)?;
        let Some(fair) = fairness_of(&found.groups) else {
            return Ok(Judged::Refused(
                "its rates are not defined in every group".to_string(),
            ));
        };
        let quality = [found.chips.mean()].into_iter();
        let rest = [found.chips.kpp(1.0)?, found.clean];
        let values = quality.chain(cost.values()).chain(rest).chain(fair);
        Ok(Judged::Measured(values.collect()))
    }
}

impl Judge for Trained {
    fn measures(&self) -> &[Measure] {
        &self.measures
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        self.made
            .get(design, &|| match self.measured(space, design) {
                // These are about one design, and others may do.
                Err(
                    error @ (TrainingError::Diverged { .. }
                    | TrainingError::NotFinite { .. }
                    | TrainingError::Hardware(_)
                    | TrainingError::Model(_)),
                ) => Ok(Judged::Refused(error.to_string())),
                found => found,
            })
    }

    fn foresee(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Option<Vec<Option<f64>>>, TrainingError> {
        let Ok(cost) = self.cost(space, design) else {
            // Judging it says why it cannot be built, and takes no time.
            return Ok(Some(Vec::new()));
        };
        let quality = [None].into_iter();
        let mut known: Vec<Option<f64>> = quality.chain(cost.values().map(Some)).collect();
        known.resize(self.measures.len(), None);
        Ok(Some(known))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::atomic::Ordering;

    use crossburn_training::search::SpaceConfig;

    use super::*;

    const CONFIG: &str = r#"
        data = { source = "skin-lesions", train = 60, validation = 12, test = 80 }
        training = { epochs = 1, batch = 24 }
        accelerator = "papers"
        chips = 2
        groups = true
    "#;

    fn trained(space: &Space, config: &str, stop: &Arc<AtomicBool>) -> Result<Trained> {
        Trained::new(&toml::from_str(config).unwrap(), space, Arc::clone(stop))
    }

    fn space(axes: &str) -> Space {
        let text =
            format!("name = \"a\"\nnetwork.channels = [2, 4]\nnetwork.kernels = [3]\n{axes}");
        Space::new(toml::from_str::<SpaceConfig>(&text).unwrap()).unwrap()
    }

    #[test]
    fn costs_are_foreseen_and_fairness_is_measured() {
        let (space, stop) = (space(""), Arc::default());
        let trained = trained(&space, CONFIG, &stop).unwrap();
        let names: Vec<&str> = trained
            .measures()
            .iter()
            .map(|measure| measure.name.as_str())
            .collect();
        let fair = ["unfairness", "eopp0", "eopp1", "eodd", "eodd-apart"];
        assert_eq!((names.len(), &names[8..]), (13, &fair[..]));
        let design = space.parse("channels=4 kernels=3").unwrap();
        let known = trained.foresee(&space, &design).unwrap().unwrap();
        stop.store(true, Ordering::Relaxed);
        let stopped = trained.judge(&space, &design);
        assert!(matches!(stopped, Err(TrainingError::Stopped)));
        stop.store(false, Ordering::Relaxed);
        let Judged::Measured(values) = trained.judge(&space, &design).unwrap() else {
            panic!("it can be built");
        };
        assert_eq!((values.len(), known.len()), (13, 13));
        for (value, known) in values.iter().zip(&known) {
            assert!(known.is_none_or(|known| known == *value));
        }
        assert_eq!(known.iter().flatten().count(), 5);
        // One is the sum of two others.
        assert!((values[12] - values[9] - values[10]).abs() < 1e-12);
        assert!(values[11] <= values[12]);
    }

    #[test]
    fn what_no_design_could_be_measured_by_is_refused() {
        for (axes, change, to, part) in [
            ("", "skin-lesions", "digits", "nothing says which group"),
            ("", "papers\"", "papers\"\ndevice = \"rram9\"", "rram9"),
            (
                "hardware.device = [\"rram1\"]",
                "papers\"",
                "papers\"\ndevice = \"rram1\"",
                "an axis `device`",
            ),
            (
                "",
                "epochs = 1",
                "epochs = 1, from = \"runs/a\"",
                "training.from",
            ),
            (
                "hardware.array = [64]",
                "",
                "",
                "axis `array` changes the cost alone",
            ),
        ] {
            let config = CONFIG.replacen(change, to, 1);
            let found = trained(&space(axes), &config, &Arc::default());
            let message = format!("{:#}", found.err().unwrap());
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
