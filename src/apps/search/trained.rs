//! Trains designs: each is a network, which is trained and then judged on chips of the design's hardware.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use burn::tensor::Device;
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_models::nas::ConvolutionalCandidate;
use crossburn_noise::{Better, path_hash};
use crossburn_training::search::{
    Design, Draws, Judge, Judged, Measure, Space, equality, unfairness,
};
use crossburn_training::{CandidateResult, CandidateTrials, Recipe, TrainingError};

use super::axes::{Axes, Cost, refusal};
use super::layers::Measures;
use super::once::Once;
use super::trained_config::{JudgedOn, TrainedConfig};
use crate::memory;
use crate::report::DesignLayer;

/// The name of this evaluation in a space file.
const KIND: &str = "training";
/// Number of random designs, of which at least one must be possible.
const TRIES: usize = 100;

/// The measures of fairness for this number of groups, in order.
fn fairness(groups: usize) -> &'static [&'static str] {
    match groups {
        0 => &[],
        2 => &[
            "unfairness",
            "unfairness-low",
            "unfairness-high",
            "eopp0",
            "eopp1",
            "eodd",
            "eodd-apart",
        ],
        _ => &["unfairness", "unfairness-low", "unfairness-high"],
    }
}

/// The values of these measures; `None` if a rate is not defined.
fn fairness_of(result: &CandidateResult) -> Option<Vec<f64>> {
    let groups = &result.groups[..];
    if groups.is_empty() {
        return Some(Vec::new());
    }
    let interval = result.unfairness?;
    let mut found = vec![unfairness(groups)?, interval.low, interval.high];
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

/// The memory limit of a training in bytes, from gigabytes.
fn most_memory(asked: Option<f64>) -> Result<Option<u64>> {
    match asked {
        None => Ok(None),
        Some(most) if most > 0.0 && most.is_finite() => Ok(Some((most * 1e9) as u64)),
        Some(most) => Err(refusal(
            KIND,
            format!("memory = {most}"),
            "use gigabytes above 0",
        )),
    }
}

/// Trainings side by side: one on each thread.
fn trainings_at_a_time() -> u64 {
    rayon::current_num_threads().max(1) as u64
}

/// The judge that trains the designs of a space.
pub(crate) struct Trained {
    config: TrainedConfig,
    trials: CandidateTrials,
    axes: Axes,
    measures: Vec<Measure>,
    made: Once,
    /// The memory limit of a training in bytes, if the space file sets one.
    memory: Option<u64>,
    /// Bytes that were free for each training when the search began, where the system says so.
    free_share: Option<u64>,
    stop: Arc<AtomicBool>,
}

impl Trained {
    /// Trainings of the designs of `space`, on the cores of this machine. Setting `stop` ends the current one.
    ///
    /// # Errors
    /// If data cannot be read, an axis has no meaning here, or settings are unusable.
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
            // Weight fidelity does not simulate how cells are read, so the cheapest choice of these axes would always win.
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
        if config.judged_on == JudgedOn::Validation {
            trials = trials.on_validation()?;
        }
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
        let axes = Axes::new(KIND, space, network, &hardware)?;
        let measures = [quality].into_iter().chain(axes.measures());
        let measures = measures.chain(rest).chain(fair);
        let trained = Self {
            config: config.clone(),
            axes,
            measures: measures.collect(),
            trials,
            made: Once::default(),
            memory: most_memory(config.memory)?,
            free_share: memory::available().map(|free| free / trainings_at_a_time()),
            stop,
        };
        trained.require_one(space)?;
        Ok(trained)
    }

    /// Refuses a space if none of many random designs can be built.
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

    /// How designs are measured, in words.
    pub(super) fn words(&self) -> String {
        let config = &self.config;
        let device = match &config.device {
            Some(device) => format!(" with {device} cells"),
            None => String::new(),
        };
        let items = match config.judged_on {
            JudgedOn::Test => "",
            JudgedOn::Validation => " on validation items",
        };
        format!(
            "training: {} epochs on {}; quality is the mean over {} chips of {}{device}{items}, kpp1 their first percentile, clean that without variation; cost by the cost model",
            config.training.epochs, config.data.source, config.chips, config.accelerator
        )
    }

    /// A digest of the items.
    pub(super) fn digest(&self) -> u64 {
        path_hash(&self.trials.digest())
    }

    /// The cost of a design, before its training.
    fn cost(&self, space: &Space, design: &Design) -> Result<Cost, String> {
        let candidate = self.axes.candidate(space, design)?;
        self.cost_of(space, design, &candidate)
    }

    fn cost_of(
        &self,
        space: &Space,
        design: &Design,
        candidate: &ConvolutionalCandidate,
    ) -> Result<Cost, String> {
        self.require_within_limit(candidate)?;
        self.axes.cost(space, design, candidate)
    }

    /// Refuses a network whose training is predicted to need more than `memory` allows.
    fn require_within_limit(&self, candidate: &ConvolutionalCandidate) -> Result<(), String> {
        let bytes = candidate.training_bytes(self.config.training.batch);
        match self.memory {
            Some(most) if bytes > most => Err(format!(
                "its training is predicted to take {:.1} GB of memory, above the limit of {:.1} GB",
                bytes as f64 / 1e9,
                most as f64 / 1e9
            )),
            _ => Ok(()),
        }
    }

    /// Ends a search without a memory limit before a training that is predicted to need more than its share of the memory that was free when the search
    /// began. The design is not refused, because the free memory differs from run to run, and the results of a search must not.
    fn require_free(&self, candidate: &ConvolutionalCandidate) -> Result<(), TrainingError> {
        let bytes = candidate.training_bytes(self.config.training.batch);
        match self.free_share {
            Some(share) if self.memory.is_none() && bytes > share => Err(TrainingError::Data {
                place: "the training of a design".to_string(),
                problem: format!(
                    "is predicted to take {:.1} GB of memory, and {:.1} GB were free for each of {} trainings",
                    bytes as f64 / 1e9,
                    share as f64 / 1e9,
                    trainings_at_a_time()
                ),
                remedy: "set memory in [evaluation], which refuses such designs, or take fewer --threads".to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// The network of a design of the space.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    pub(crate) fn candidate(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<ConvolutionalCandidate, String> {
        self.axes.candidate(space, design)
    }

    /// A network without layers, with what the axes do not determine.
    pub(crate) fn open_network(&self) -> &ConvolutionalCandidate {
        self.axes.open_network()
    }

    /// Measures a network, which need not belong to the space, on the fixed hardware.
    ///
    /// # Errors
    /// Errors that concern all networks.
    pub(crate) fn judge_candidate(
        &self,
        candidate: &ConvolutionalCandidate,
    ) -> Result<Judged, TrainingError> {
        let built = self.axes.cost_on_fixed(candidate);
        self.judge_built(built.and_then(|(cost, hardware)| {
            self.require_within_limit(candidate)?;
            Ok((candidate.clone(), cost, hardware))
        }))
    }

    fn judge_design(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let built = self.axes.candidate(space, design).and_then(|candidate| {
            let cost = self.cost_of(space, design, &candidate)?;
            let hardware = self.axes.hardware(space, design, &candidate)?;
            Ok((candidate, cost, hardware))
        });
        self.judge_built(built)
    }

    /// Measures a network that was built. An error that concerns only this network refuses it.
    fn judge_built(
        &self,
        built: Result<(ConvolutionalCandidate, Cost, Hardware), String>,
    ) -> Result<Judged, TrainingError> {
        let (candidate, cost, hardware) = match built {
            Ok(built) => built,
            Err(reason) => return Ok(Judged::Refused(reason)),
        };
        self.require_free(&candidate)?;
        match self.measured(&candidate, &cost, &hardware) {
            Err(
                error @ (TrainingError::Diverged { .. }
                | TrainingError::NotFinite { .. }
                | TrainingError::Hardware(_)
                | TrainingError::Model(_)),
            ) => Ok(Judged::Refused(error.to_string())),
            found => found,
        }
    }

    fn measured(
        &self,
        candidate: &ConvolutionalCandidate,
        cost: &Cost,
        hardware: &Hardware,
    ) -> Result<Judged, TrainingError> {
        let found = self.trials.measure(candidate, hardware, &self.stop)?;
        let found: CandidateResult = found.ok_or(TrainingError::Stopped)?;
        let Some(fair) = fairness_of(&found) else {
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
        self.made.get(design, &|| self.judge_design(space, design))
    }

    fn foresee(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Option<Vec<Option<f64>>>, TrainingError> {
        let Ok(cost) = self.cost(space, design) else {
            // Judging gives the reason why it cannot be built, and takes no time.
            return Ok(Some(Vec::new()));
        };
        let quality = [None].into_iter();
        let costs = cost.values().into_iter().map(Some);
        let mut known: Vec<Option<f64>> = quality.chain(costs).collect();
        known.resize(self.measures.len(), None);
        Ok(Some(known))
    }
}

impl Measures for Trained {
    fn layers(&self, space: &Space, design: &Design) -> Result<Vec<DesignLayer>, String> {
        self.axes.layers(space, design)
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
        let fair = [
            "unfairness",
            "unfairness-low",
            "unfairness-high",
            "eopp0",
            "eopp1",
            "eodd",
            "eodd-apart",
        ];
        assert_eq!((names.len(), &names[8..]), (15, &fair[..]));
        let design = space.parse("channels=4 kernels=3").unwrap();
        let known = trained.foresee(&space, &design).unwrap().unwrap();
        stop.store(true, Ordering::Relaxed);
        let stopped = trained.judge(&space, &design);
        assert!(matches!(stopped, Err(TrainingError::Stopped)));
        stop.store(false, Ordering::Relaxed);
        let Judged::Measured(values) = trained.judge(&space, &design).unwrap() else {
            panic!("it can be built");
        };
        assert_eq!((values.len(), known.len()), (15, 15));
        for (value, known) in values.iter().zip(&known) {
            assert!(known.is_none_or(|known| known == *value));
        }
        assert_eq!(known.iter().flatten().count(), 5);
        // One value is the sum of the two others.
        assert!((values[14] - values[11] - values[12]).abs() < 1e-12);
        assert!(values[13] <= values[14]);
        let [_, low, high] = [values[8], values[9], values[10]];
        assert!(0.0 <= low && low < high, "{low} {high}");
        // The same network, passed as one that is no design of the space.
        let candidate = trained.candidate(&space, &design).unwrap();
        let alone = trained.judge_candidate(&candidate).unwrap();
        assert_eq!(alone, Judged::Measured(values));
    }

    #[test]
    fn bits_of_layers_are_trained_stored_and_limited() {
        let axes = "hardware.weight_bits = { times = 2, of = [2, 8] }";
        let text = format!(
            "name = \"a\"\nnetwork.channels = {{ times = 2, of = [4] }}\nnetwork.kernels = [3]\n{axes}"
        );
        let space = Space::new(toml::from_str::<SpaceConfig>(&text).unwrap()).unwrap();
        let config = CONFIG.replace("groups = true", "");
        let trained = trained(&space, &config, &Arc::default()).unwrap();
        let names = trained.measures().iter();
        let names: Vec<&str> = names.map(|measure| measure.name.as_str()).collect();
        assert_eq!(names[6..], ["storage", "kpp1", "clean"]);
        let judge = |bits: &str| {
            let text = format!("channels=4,4 kernels=3 weight_bits={bits}");
            let design = space.parse(&text).unwrap();
            let known = trained.foresee(&space, &design).unwrap().unwrap();
            match trained.judge(&space, &design).unwrap() {
                Judged::Measured(values) => (values, known),
                Judged::Refused(reason) => panic!("{reason}"),
            }
        };
        let ((narrow, known), (wide, _)) = (judge("2,2"), judge("8,8"));
        // 108 and 144 weights of the layers; 4 · 16 · 16 · 4 of the output in 32 bits.
        assert_eq!(known[6], Some(f64::from((252 * 2 + 4096 * 32) / 8u32)));
        assert_eq!(wide[6] - narrow[6], f64::from(252 * 6 / 8u32));
        assert!(
            narrow[1] < wide[1] && narrow[4] == wide[4],
            "{narrow:?} {wide:?}"
        );
    }

    #[test]
    fn designs_that_are_too_large_are_refused_by_prediction() {
        // This many epochs would take too long.
        let config = CONFIG.replace("epochs = 1", "epochs = 1000000");
        let text = "name = \"a\"\nnetwork.channels = [2, 4096]\nnetwork.kernels = [3]";
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let trained = trained(&space, &format!("memory = 0.1\n{config}"), &Arc::default());
        let trained = trained.unwrap();
        let large = space.parse("channels=4096 kernels=3").unwrap();
        // 24 items of 4,096 channels of 1,024 pixels, four times, and 16 million weights of the last layer eight times.
        let Judged::Refused(reason) = trained.judge(&space, &large).unwrap() else {
            panic!("it is too large");
        };
        let part = "its training is predicted to take 2.2 GB of memory, above the limit of 0.1 GB";
        assert_eq!(reason, part);
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
