//! Training runs that prune and that learn the scales of weights: what they leave, and that they resume to the same bytes.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::{Manifest, save_checkpoint};
use crossburn_hardware::{manufacture, programmed};
use crossburn_models::{Classifier, Network, initialize};
use crossburn_noise::{ChipSeed, Distribution, Variation, host_weights};
use crossburn_training::data::digits;
use crossburn_training::{
    Classification, EpochRecord, Recipe, Run, Silent, Task, Trained, TrainingError,
    TrainingObserver, train,
};
use serde_json::json;

/// Of six epochs the first is dense, the second keeps three quarters, and in the last two the mask rests.
const PRUNING: &str =
    "[pruning]\npattern = \"2:4\"\npaths = [{ path = \"fc.weight\", pattern = \"1:2\" }]\n";
const LEARNED: &str = "[quantization]\ngranularity = \"per-channel\"\ncalibration = { kind = \"learned\", rate = 0.01 }\n\
                       [arrays]\nbits = [{ path = \"conv.weight\", bits = 4 }, { path = \"fc.weight\", bits = 1 }]\n";

fn recipe(tables: &str) -> Recipe {
    let text = format!(
        "seed = 3\n[model]\nkind = \"own\"\n[data]\nsource = \"digits\"\n\
         [training]\nepochs = 6\nbatch = 30\n{tables}"
    );
    toml::from_str(&text).unwrap()
}

#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    fc: Linear,
}

impl Network for Net {}

impl Classifier for Net {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.conv.forward(images));
        self.fc.forward(x.flatten::<2>(1, 3))
    }
}

fn net() -> Net {
    let device = Device::flex().autodiff();
    let conv = Conv2dConfig::new([1, 4], [4, 4]).with_stride([4, 4]);
    let network = Net {
        conv: conv.init(&device),
        fc: LinearConfig::new(4 * 7 * 7, 10).init(&device),
    };
    initialize(network, 5)
}

fn weights(network: &Net) -> [Vec<f32>; 2] {
    let weights = host_weights(network);
    ["conv.weight", "fc.weight"].map(|path| weights[path].values.clone())
}

fn bits(network: &Net) -> Vec<u32> {
    weights(network)
        .concat()
        .iter()
        .map(|w| w.to_bits())
        .collect()
}

/// Stops after an epoch.
struct StopAfter {
    epoch: usize,
    done: usize,
}

impl TrainingObserver for StopAfter {
    fn epoch(&mut self, record: &EpochRecord) {
        self.done = record.epoch;
    }

    fn should_stop(&self) -> bool {
        self.done >= self.epoch
    }
}

fn run(
    recipe: &Recipe,
    state: Option<(&Path, bool)>,
    observer: &mut dyn TrainingObserver,
) -> Result<Trained<Net>, TrainingError> {
    let all = Classification::new(digits(1, 0, 130));
    let (learn, validation) = all.split_at(90);
    let device = Device::flex().autodiff();
    let run = Run {
        train: &learn,
        validation: &validation,
        device: &device,
        state: state.map(|(folder, _)| folder),
        resume: state.is_some_and(|(_, resume)| resume),
    };
    train(recipe.started(net())?, recipe, &run, observer)
}

#[test]
fn runs_resume_to_the_same_bytes() {
    for tables in [PRUNING.to_string(), format!("{LEARNED}{PRUNING}")] {
        let recipe = recipe(&tables);
        let whole = run(&recipe, None, &mut Silent).unwrap();
        assert_eq!(
            bits(&whole.network),
            bits(&run(&recipe, None, &mut Silent).unwrap().network)
        );
        for epoch in [1, 3, 5] {
            let folder = tempfile::tempdir().unwrap();
            let mut stop = StopAfter { epoch, done: 0 };
            let cut = run(&recipe, Some((folder.path(), false)), &mut stop).unwrap();
            assert!(cut.interrupted && cut.curve.len() == epoch);
            let resumed = run(&recipe, Some((folder.path(), true)), &mut Silent).unwrap();
            assert_eq!(resumed.curve, whole.curve);
            assert_eq!(bits(&resumed.network), bits(&whole.network));
            assert_eq!(resumed.best_epoch, whole.best_epoch);
        }
    }
}

#[test]
fn what_is_kept_has_the_pattern_and_its_chips_deviate_everywhere() {
    for selection in ["best-validation", "last"] {
        let recipe = recipe(&format!("selection = \"{selection}\"\n{PRUNING}"));
        let trained = run(&recipe, None, &mut Silent).unwrap();
        assert!(trained.best_epoch >= 3, "{}", trained.best_epoch);
        assert!(!trained.programmed);
        let [conv, fc] = weights(&trained.network);
        for group in conv.chunks(16).flat_map(|channel| channel.chunks(4)) {
            assert_eq!(group.iter().filter(|w| **w != 0.0).count(), 2);
        }
        for column in 0..10 {
            let column: Vec<f32> = fc.iter().skip(column).step_by(10).copied().collect();
            for group in column.chunks(2) {
                assert_eq!(group.iter().filter(|w| **w != 0.0).count(), 1);
            }
        }
        // The plan of the recipe alone finds the same mask in the kept weights.
        let plan = recipe.weights::<Net>();
        assert_eq!(
            bits(&programmed(&trained.network, &plan)),
            bits(&trained.network)
        );
        let noise = Variation::from(Distribution::gaussian(0.1));
        let chip = manufacture(&trained.network, &plan, &noise, ChipSeed::new(1, 2));
        assert!(weights(&chip).concat().iter().all(|w| *w != 0.0));
    }
}

#[test]
fn learned_scales_leave_weights_on_their_levels() {
    let recipe = recipe(&format!("{LEARNED}{PRUNING}"));
    let trained = run(&recipe, None, &mut Silent).unwrap();
    assert!(trained.programmed);
    let [conv, fc] = weights(&trained.network);
    for channel in conv.chunks(16) {
        let mut sizes: Vec<f32> = channel
            .iter()
            .map(|w| w.abs())
            .filter(|w| *w > 0.0)
            .collect();
        sizes.sort_by(f32::total_cmp);
        sizes.dedup();
        // Seven levels beside zero, as whole multiples of one step.
        let whole = |step: f32| {
            let mut levels = sizes.iter().map(|w| w / step);
            levels.all(|level| (level - level.round()).abs() < 1e-4 && level < 7.5)
        };
        let most = sizes[sizes.len() - 1];
        assert!((1..=7).any(|level| whole(most / level as f32)), "{sizes:?}");
    }
    for column in 0..10 {
        let column = fc.iter().skip(column).step_by(10);
        let mut sizes: Vec<u32> = column.map(|w| w.abs().to_bits()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert!(sizes.len() == 2 && sizes[0] == 0, "{sizes:?}");
    }
    // The scales have moved: they are not those that the kept levels would start with.
    let without = crossburn_training::QuantizationConfig {
        calibration: crossburn_hardware::quantize::Calibration::Mse {},
        ..recipe.quantization
    };
    let other = Recipe {
        quantization: without,
        ..recipe.clone()
    };
    let other = run(&other, None, &mut Silent).unwrap();
    assert!(!other.programmed && bits(&other.network) != bits(&trained.network));
}

#[test]
fn training_starts_from_the_weights_of_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let given = initialize(net(), 77);
    let manifest = Manifest::new(json!({"kind": "own"}), json!(null), 1, json!("digits"));
    save_checkpoint(&folder.path().join("checkpoint"), &given, &manifest).unwrap();
    let from = format!("from = {:?}\n", folder.path());
    let started = recipe(&from).started(net()).unwrap();
    assert_eq!(bits(&started), bits(&given));
    assert_ne!(bits(&net()), bits(&given));
    let missing = recipe("from = \"nowhere\"\n").started(net()).unwrap_err();
    assert!(missing.to_string().contains("nowhere"), "{missing}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let trice = "[method]\nkind = \"trice\"\nvariation = { kind = \"gaussian\", sigma_rel_wmax = 0.1 }\n\
                 [noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.2\n";
    let awp = "[method]\nkind = \"awp\"\n";
    for (tables, part) in [
        (format!("{PRUNING}{trice}"), "method.kind = trice"),
        (format!("{LEARNED}{awp}"), "method.kind = awp"),
        (
            format!("deployment = \"mean-folded\"\n{PRUNING}"),
            "training.deployment = mean-folded",
        ),
        (
            format!("{PRUNING}densities = [0.5, 0.9]\n"),
            "pruning.densities = [0.5, 0.9]",
        ),
        (
            "[quantization]\ncalibration = { kind = \"percentile\", percent = 99.0 }\n\
             [arrays]\nbits = [{ path = \"fc.weight\", bits = 1 }]\n"
                .to_string(),
            "calibration.percent = 99",
        ),
        (
            "[quantization]\ncalibration = { kind = \"learned\", rate = 2.0 }\n".to_string(),
            "calibration.rate = 2",
        ),
    ] {
        let message = recipe(&tables).check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    let elsewhere = PRUNING.replace("fc.weight", "fc3.weight");
    let message = run(&recipe(&elsewhere), None, &mut Silent).unwrap_err();
    assert!(message.to_string().contains("`fc3.weight`"), "{message}");
}
