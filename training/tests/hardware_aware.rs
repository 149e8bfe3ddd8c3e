//! Training on chips of a hardware.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_hardware::WeightPlan;
use crossburn_hardware::deploy::Fidelity;
use crossburn_hardware::layer::linear;
use crossburn_models::{Classifier, Mlp, MlpConfig, Network, initialize};
use crossburn_noise::{ChipSeed, host_weights};
use crossburn_training::data::digits;
use crossburn_training::{
    Batches, Classification, EpochRecord, Evaluation, Recipe, Run, Silent, Task, Trained,
    TrainingError, TrainingObserver, train,
};

fn recipe(training: &str, hardware: &str) -> Recipe {
    let text = format!(
        "seed = 3
         model = {{ kind = \"mlp\", widths = [784, 24, 10] }}
         data = {{ source = \"digits\" }}
         [training]
         {training}
         {hardware}"
    );
    toml::from_str(&text).unwrap()
}

fn network() -> Mlp {
    let network = MlpConfig {
        widths: vec![784, 24, 10],
        bits: None,
    };
    initialize(network.init(&Device::flex().autodiff()), 5)
}

/// Items to learn from and to choose by.
fn items(count: usize) -> [Classification; 2] {
    let (learn, choose) = Classification::new(digits(1, 0, count + 100)).split_at(count);
    [learn, choose]
}

fn run(
    recipe: &Recipe,
    [learn, choose]: &[Classification; 2],
    state: Option<(&Path, bool)>,
    observer: &mut dyn TrainingObserver,
) -> Result<Trained<Mlp>, TrainingError> {
    let device = Device::flex().autodiff();
    let run = Run {
        state: state.map(|(folder, _)| folder),
        resume: state.is_some_and(|(_, resume)| resume),
        ..Run::new(learn, choose, &device)
    };
    train(network(), recipe, &run, observer)
}

/// A norm, whose statistics nobody has learned yet, before a layer on arrays.
#[derive(Module, Debug)]
struct Normed {
    norm: BatchNorm,
    fc: Linear,
}

impl Network for Normed {}

impl Classifier for Normed {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let large = images.flatten::<2>(1, 3) * 1000.0;
        linear(&self.fc, self.norm.forward(large))
    }
}

fn bits(network: &Mlp) -> Vec<u32> {
    let weights = host_weights(network).into_values();
    weights
        .flat_map(|weight| weight.values)
        .map(f32::to_bits)
        .collect()
}

/// Stops after the first epoch.
#[derive(Default)]
struct StopAfterOne(bool);

impl TrainingObserver for StopAfterOne {
    fn epoch(&mut self, _record: &EpochRecord) {
        self.0 = true;
    }

    fn should_stop(&self) -> bool {
        self.0
    }
}

#[test]
fn runs_repeat_and_resume_to_the_same_bytes() {
    let items = items(130);
    let mut found = Vec::new();
    for fidelity in ["weight", "array"] {
        let hardware = format!(
            "[hardware]
             accelerator = \"papers\"
             cell = \"pcm-mushroom\"
             after = [\"1 s\", \"1 d\"]
             ranges_every = 2
             fidelity = \"{fidelity}\""
        );
        let recipe = recipe("epochs = 2\nbatch = 40\nselection = \"last\"", &hardware);
        let whole = run(&recipe, &items, None, &mut Silent).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let stopped = run(
            &recipe,
            &items,
            Some((folder.path(), false)),
            &mut StopAfterOne(false),
        );
        assert!(stopped.unwrap().interrupted);
        let resumed = run(&recipe, &items, Some((folder.path(), true)), &mut Silent).unwrap();
        assert_eq!(bits(&resumed.network), bits(&whole.network));
        assert_eq!(resumed.curve, whole.curve);
        assert_eq!(resumed.passes, whole.passes);
        assert_eq!(resumed.input_scales, whole.input_scales);
        // Validation without noise and on chips, and looks at 32 items of the first and the third of four steps.
        let looks = if fidelity == "array" { 2 } else { 1 };
        assert_eq!(whole.passes.forward, 2 * (2 * 100 + looks * 64));
        assert_eq!(whole.passes.backward, 2 * 130);
        assert!(
            whole
                .curve
                .iter()
                .all(|epoch| epoch.validation_noisy.is_some())
        );
        found.push(bits(&whole.network));
    }
    assert_ne!(found[0], found[1]);
}

/// Cells without errors and converters that are as fine as they can be leave a step what it is without hardware; cells that
/// deviate do not.
#[test]
fn an_ideal_hardware_changes_nothing() {
    let items = items(80);
    let training = "epochs = 1\nbatch = 40\nselection = \"last\"\n\
                    optimizer = { kind = \"sgd\", learning_rate = 0.1 }";
    let weights = |hardware: &str| -> Vec<f32> {
        let trained = run(&recipe(training, hardware), &items, None, &mut Silent).unwrap();
        let weights = host_weights(&trained.network).into_values();
        weights.flat_map(|weight| weight.values).collect()
    };
    let plain = weights("");
    let initial: Vec<f32> = host_weights(&network())
        .into_values()
        .flat_map(|weight| weight.values)
        .collect();
    let apart = |a: &[f32], b: &[f32]| {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let moved = apart(&plain, &initial);
    for fidelity in ["weight", "array"] {
        let on = |device: &str| {
            weights(&format!(
                "[hardware]
                 fidelity = \"{fidelity}\"
                 [hardware.accelerator]
                 device = {{ {device} }}
                 mapping = {{ weight_bits = 16 }}
                 array = {{ rows = 128, columns = 128, input = {{ bits = 16 }} }}"
            ))
        };
        let ideal = on("kind = \"ideal\", g_min = \"1 uS\", g_max = \"100 uS\"");
        let cells = on("preset = \"pcm-mushroom\"");
        let (ideal, cells) = (apart(&ideal, &plain), apart(&cells, &plain));
        // Weights on a grid of 2^15 levels move their own gradients by some ten thousandths.
        assert!(ideal < 2e-3 * moved, "{fidelity}: {ideal} of {moved}");
        assert!(cells > 5e-2 * moved, "{fidelity}: {cells} of {moved}");
    }
}

/// Full scales begin with inputs as a step has them: 40 items that a batch norm has normalised are within √39 standard deviations,
/// and without its statistics they are up to a thousand. With nothing to convert, a look takes one pass.
#[test]
fn full_scales_begin_as_a_step_computes() {
    let hardware = "[hardware]
         fidelity = \"array\"
         scale_rate = 0.0
         [hardware.accelerator]
         device = { kind = \"ideal\", g_min = \"1 uS\", g_max = \"100 uS\" }
         mapping = { weight_bits = 8 }
         array = { rows = 128, columns = 128, input = { bits = 8 } }";
    let mut recipe = recipe("epochs = 1\nbatch = 40", hardware);
    recipe.model = Recipe::own(1).model;
    let device = Device::flex().autodiff();
    let network = Normed {
        norm: BatchNormConfig::new(784).init(&device),
        fc: LinearConfig::new(784, 10).init(&device),
    };
    let [learn, choose] = items(40);
    let run = Run::new(&learn, &choose, &device);
    let trained = train(initialize(network, 5), &recipe, &run, &mut Silent).unwrap();
    let scale = trained.input_scales["fc.weight"];
    assert!(scale > 1.0 && scale < 39f32.sqrt(), "{scale}");
    assert_eq!(trained.passes.forward, 2 * 100 + 32);
}

/// A network that has learned on chips of a hardware, with the full scales that it has learned, is better on others of them than one that
/// has not.
#[test]
fn what_has_learned_on_a_hardware_is_better_on_it() {
    let items = items(1500);
    let hardware = "[hardware]
         fidelity = \"array\"
         [hardware.accelerator]
         device = { preset = \"state-independent\" }
         mapping = { weight_bits = 4 }
         array = { rows = 128, columns = 128, input = { bits = 4 }, adc = { bits = 3, range = { calibrated = { percentile = 99.9 } }, codes = \"symmetric\" } }
         operation = { read_noise = false }";
    let training = "epochs = 6\nbatch = 50\noptimizer = { kind = \"adam\", learning_rate = 3e-3 }";
    let aware = recipe(training, hardware);
    let chips = aware.hardware.clone().unwrap().hardware().unwrap();
    let device = Device::flex();
    let test = Classification::new(digits(2, 1000, 300));
    let mean = |recipe: &Recipe| {
        let trained = run(recipe, &items, None, &mut Silent).unwrap();
        let scales = trained.input_scales.iter();
        let chips = chips.with_input_scales(scales.map(|(path, scale)| (path, *scale)));
        let judged = Batches::new(&test, 100, &device).unwrap();
        let evaluation = Evaluation::new(&trained.network, WeightPlan::default(), judged);
        let calibration = Batches::new(&items[0], 100, &device).unwrap();
        let mapped = evaluation.mapped(&chips.unwrap(), Fidelity::Array, &calibration);
        let mapped = mapped.unwrap();
        let fab = mapped.fab(Fidelity::Array).unwrap();
        let chip = |chip| evaluation.chip(&fab, ChipSeed::new(9, chip)).unwrap();
        let mean = (0..10).map(chip).sum::<f64>() / 10.0;
        (mean, trained.input_scales.len())
    };
    let ((aware, learned), (plain, none)) = (mean(&aware), mean(&recipe(training, "")));
    assert_eq!((learned, none), (2, 0));
    assert!(aware > plain + 0.03, "{aware} {plain}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let papers = "accelerator = \"papers\"";
    for (tables, expected) in [
        (
            format!("[hardware]\n{papers}\n[noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.1"),
            "noise.kind = gaussian",
        ),
        (
            format!("[hardware]\n{papers}\n[method]\nkind = \"awp\""),
            "method.kind = awp",
        ),
        (
            format!("[hardware]\n{papers}\nranges_every = 0"),
            "hardware.ranges_every = 0",
        ),
        (
            format!("[hardware]\n{papers}\nscale_rate = -1.0"),
            "hardware.scale_rate = -1",
        ),
        (
            format!("[hardware]\n{papers}\nscale_rate = 1.5"),
            "hardware.scale_rate = 1.5",
        ),
        (
            format!("[hardware]\n{papers}\ncell = \"pcm\""),
            "`pcm`: use one of ",
        ),
    ] {
        let message = recipe("", &tables).check().unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let cells = "device = { preset = \"rram4\" }\n\
                 mapping = { weight_bits = 8, slice_bits = 2 }\n\
                 array = { rows = 8, columns = 8, input = { bits = 8 } }";
    for (tables, expected) in [
        (
            format!("[arrays]\ndigital = [\"*\"]\n[hardware]\n{papers}"),
            "arrays.digital = every weight",
        ),
        (
            format!(
                "[hardware.accelerator]\n{cells}\nlayer = [{{ path = \"fc9.weight\", digital = true }}]"
            ),
            "[hardware]: there is no weight `fc9.weight`",
        ),
        (
            format!(
                "[hardware.accelerator]\n{}",
                cells.replace(", slice_bits = 2", "")
            ),
            "[hardware]: layer `layers.0.weight`: a mapping to",
        ),
    ] {
        let refused = recipe("", &tables).check_hardware(&network());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    for (table, expected) in [
        (
            "[hardware]\naccelerator = \"paper\"",
            "`paper`: use one of ",
        ),
        ("[hardware]\naccelerator = 3", "the name of an accelerator"),
        (
            "[hardware]\naccelerator = { rows = 3 }",
            "unknown field `rows`",
        ),
        (
            "[hardware]\nfidelity = \"array\"",
            "missing field `accelerator`",
        ),
    ] {
        let text = format!(
            "seed = 1\nmodel = {{ kind = \"lenet\" }}\ndata = {{ source = \"digits\" }}\n{table}"
        );
        let message = toml::from_str::<Recipe>(&text).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}
