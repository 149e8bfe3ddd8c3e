//! Steps whose gradients come in parts, weights that are clipped after a step, and steps that a network teaches itself.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use crossburn_kernels::{EncodedFormat, QuantizedMatrix, StoredLines, hold_quantized};
use crossburn_models::decoder::{
    AdaptedDecoder, AdapterConfig, AdapterKind, Decoder, DecoderSizes,
};
use crossburn_models::{CausalLanguageModel, Network, initialize};
use crossburn_noise::{HostWeight, PathPattern, attached, host_weights, host_weights_at};
use crossburn_training::{
    EpochRecord, LanguageModelling, LanguageModellingConfig, Recipe, Run, Sequence, Silent,
    TaskConfig, Trained, TrainingError, TrainingObserver, train,
};

fn decoder() -> Decoder {
    let sizes = r#"{"vocabulary": 12, "width": 16, "heads": 2, "layers": 2, "context": 10}"#;
    let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
    initialize(sizes.init(&Device::flex().autodiff()).unwrap(), 1)
}

/// Texts of nine tokens, of which one to eight are predicted: a mean over the batches of a step is not the mean over their tokens.
fn texts(count: u32) -> LanguageModelling {
    let text = |i: u32| Sequence {
        tokens: (0..9).map(|j| (i * 5 + j * j) % 12).collect(),
        first: 1 + (7 * i as usize) % 8,
    };
    LanguageModelling::new((0..count).map(text).collect()).unwrap()
}

/// The recipe of a network that the test brings.
fn recipe(training: &str, method: &str, noise: &str) -> Recipe {
    let part = |text: &str| toml::from_str(text).unwrap();
    let mut recipe = Recipe::own(3);
    recipe.task = TaskConfig::LanguageModelling(LanguageModellingConfig::default());
    let all = format!(
        "selection = \"last\"\nepochs = 2\noptimizer = {{ kind = \"sgd\", learning_rate = 0.2 }}\n{training}"
    );
    recipe.training = toml::from_str(&all).unwrap();
    recipe.method = toml::from_str(method).unwrap();
    recipe.noise = part(noise);
    recipe
}

const PLAIN: &str = "kind = \"noise-injection\"";
const NONE: &str = "kind = \"none\"";
const GAUSSIAN: &str = "kind = \"gaussian\"\nsigma_rel_wmax = 0.05";

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

fn run<N: CausalLanguageModel>(
    network: N,
    recipe: &Recipe,
    (state, resume): (Option<&Path>, bool),
    observer: &mut dyn TrainingObserver,
) -> Result<Trained<N>, TrainingError> {
    let device = Device::flex().autodiff();
    // Seven texts: the last step of an epoch of six has one.
    let (training, validation) = (texts(7), texts(3));
    let run = Run {
        state,
        resume,
        ..Run::new(&training, &validation, &device)
    };
    train(network, recipe, &run, observer)
}

fn trained(recipe: &Recipe) -> Trained<Decoder> {
    run(decoder(), recipe, (None, false), &mut Silent).unwrap()
}

/// By how much the weights of two networks differ at most.
fn apart<N: Network>(a: &N, b: &N) -> f32 {
    let (a, b) = (host_weights(a), host_weights(b));
    let of_weight = |(a, b): (&HostWeight, &HostWeight)| {
        let pairs = a.values.iter().zip(&b.values);
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    a.values()
        .zip(b.values())
        .map(of_weight)
        .fold(0.0, f32::max)
}

#[test]
fn several_batches_are_one_large_one() {
    for noise in [NONE, GAUSSIAN] {
        let large = trained(&recipe("batch = 6", PLAIN, noise));
        let parts = trained(&recipe("batch = 2\naccumulate = 3", PLAIN, noise));
        // Sums of 32-bit numbers in another order, in eight steps of a rate below one.
        let difference = apart(&large.network, &parts.network);
        assert!(difference < 1e-5, "{difference}");
        for (large, parts) in large.curve.iter().zip(&parts.curve) {
            assert!((large.train_loss - parts.train_loss).abs() < 1e-5);
            assert_eq!(large.train_metric.is_some(), parts.train_metric.is_some());
        }
        // Steps of two texts are other steps, by far more than that.
        let small = trained(&recipe("batch = 2", PLAIN, noise));
        assert!(apart(&large.network, &small.network) > 1e-3);
    }
}

#[test]
fn blocks_that_are_computed_again_give_the_same_network() {
    for noise in [NONE, GAUSSIAN] {
        let plain = trained(&recipe("batch = 6", PLAIN, noise));
        let blocks = trained(&recipe("batch = 6\ncheckpoint_blocks = true", PLAIN, noise));
        let difference = apart(&plain.network, &blocks.network);
        assert!(difference < 1e-5, "{difference}");
    }
    let all = "batch = 2\naccumulate = 3\ncheckpoint_blocks = true";
    let both = trained(&recipe(all, PLAIN, GAUSSIAN));
    let plain = trained(&recipe("batch = 6", PLAIN, GAUSSIAN));
    let difference = apart(&plain.network, &both.network);
    assert!(difference < 1e-5, "{difference}");
}

/// `decoder` with the matrices of its blocks in 16-bit numbers, of which rows may have any length.
fn in_halves(decoder: Decoder) -> Decoder {
    let weights = host_weights(&decoder).into_iter().map(|(path, weight)| {
        let [inputs, outputs] = weight.shape[..] else {
            panic!("a linear layer has a matrix");
        };
        let stored: Vec<f32> = (0..inputs * outputs)
            .map(|at| weight.values[at % inputs * outputs + at / inputs])
            .collect();
        let matrix = QuantizedMatrix::encoded(EncodedFormat::F16, &stored, [outputs, inputs]);
        (path, (matrix.unwrap(), StoredLines::Outputs))
    });
    let matrices = weights.collect();
    hold_quantized(decoder, matrices)
}

#[test]
fn an_adapter_learns_beside_weights_that_stay_in_their_bytes() {
    let recipe = recipe("batch = 4", PLAIN, NONE);
    let base = in_halves(decoder());
    let before = host_weights(&base);
    let kind = AdapterKind::Prompt { tokens: 2 };
    let adapter = AdapterConfig { kind };
    let adapter = adapter
        .init(base.config(), &Device::flex().autodiff())
        .unwrap();
    let network =
        |base: &Decoder| AdaptedDecoder::new(base.clone(), initialize(adapter.clone(), 5));
    let learn = |base: &Decoder| run(network(base), &recipe, (None, false), &mut Silent).unwrap();
    let (held, plain) = (learn(&base), learn(&base.clone().materialize()));
    // The best epoch is still in the bytes, and the bytes are those of before.
    assert_eq!(
        attached(held.network.base()),
        ["quantized".to_string()].into()
    );
    assert_eq!(host_weights(held.network.base()), before);
    for (held, plain) in held.curve.iter().zip(&plain.curve) {
        // Validation rounds inputs to no bits: halves meet them as they are.
        assert!((held.validation / plain.validation - 1.0).abs() < 1e-5);
        assert!((held.train_loss - plain.train_loss).abs() < 1e-5);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut stop = StopAfter { epoch: 1, done: 0 };
    let state = (Some(folder.path()), false);
    assert!(
        run(network(&base), &recipe, state, &mut stop)
            .unwrap()
            .interrupted
    );
    let state = (Some(folder.path()), true);
    let resumed = run(network(&base), &recipe, state, &mut Silent).unwrap();
    assert_eq!(resumed.curve, held.curve);
}

#[test]
fn a_run_in_parts_resumes_to_the_same_bytes() {
    let all = "batch = 2\naccumulate = 3\ncheckpoint_blocks = true\nclip = 2.0";
    let recipe = recipe(all, PLAIN, GAUSSIAN);
    let whole = trained(&recipe);
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path());
    let mut stop = StopAfter { epoch: 1, done: 0 };
    let cut = run(decoder(), &recipe, (state, false), &mut stop).unwrap();
    assert!(cut.interrupted && cut.curve.len() == 1);
    let resumed = run(decoder(), &recipe, (state, true), &mut Silent).unwrap();
    assert_eq!(apart(&resumed.network, &whole.network), 0.0);
    assert_eq!(resumed.curve, whole.curve);
}

#[test]
fn what_takes_no_parts_is_refused() {
    let parts = [
        ("accumulate = 2", "kind = \"awp\""),
        ("checkpoint_blocks = true", "kind = \"a-trice\""),
        ("accumulate = 2", "kind = \"distillation\""),
        ("accumulate = 2", "kind = \"orthogonality\""),
    ];
    for (training, method) in parts {
        let error = recipe(training, method, GAUSSIAN).check().unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("noise-injection or trice with training.accumulate"),
            "{message}"
        );
    }
    let none = recipe("accumulate = 0", PLAIN, NONE).check().unwrap_err();
    assert!(
        none.to_string().contains("training.accumulate = 0"),
        "{none}"
    );
}

/// The paths whose weights differ between two networks.
fn changed<N: Network>(a: &N, b: &N, paths: &[&str]) -> Vec<String> {
    let paths = paths.iter().map(ToString::to_string).collect();
    let (a, b) = (host_weights_at(a, &paths), host_weights_at(b, &paths));
    let pairs = a.iter().zip(b.values());
    let different = pairs.filter(|((_, a), b)| a != b);
    different.map(|((path, _), _)| path.clone()).collect()
}

#[test]
fn what_is_digital_or_rests_is_not_clipped() {
    let start = decoder().valid();
    let paths = [
        "layers.0.attention.query.weight",
        "layers.1.feed_forward.up.weight",
        "embedding.weight",
    ];
    // A rate of 0 leaves the clipping alone.
    let mut recipe = recipe("batch = 7\nclip = 0.5", PLAIN, NONE);
    recipe.training.optimizer = toml::from_str("kind = \"sgd\"\nlearning_rate = 1e-30").unwrap();
    let clipped = trained(&recipe).network;
    assert_eq!(changed(&start, &clipped, &paths), paths[..2]);
    recipe.arrays.digital = vec![PathPattern::new("layers.1.*")];
    let clipped = trained(&recipe).network;
    assert_eq!(changed(&start, &clipped, &paths), paths[..1]);
    // Nothing that learns beside a model lies on an array.
    recipe.arrays.digital.clear();
    let kind = AdapterKind::Prompt { tokens: 2 };
    let base = decoder();
    let adapter = AdapterConfig { kind };
    let adapter = adapter
        .init(base.config(), &Device::flex().autodiff())
        .unwrap();
    let network = AdaptedDecoder::new(base, adapter);
    let error = run(network, &recipe, (None, false), &mut Silent).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(
            "training.clip = 0.5 is not allowed: use it where weights that learn lie on arrays"
        ),
        "{message}"
    );
}

/// Makes all weights a hundredth larger.
struct Grow;

impl ModuleMapper for Grow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| Tensor::from_inner(weight.inner() * 1.01).require_grad())
    }
}

#[test]
fn a_teacher_is_one_network_from_first_to_last() {
    let recipe = recipe("batch = 4", "kind = \"distillation\"", GAUSSIAN);
    let whole = trained(&recipe);
    // Two epochs of seven texts: each forward and backward, and forward through the teacher; three texts judge, with and without noise.
    assert_eq!(whole.passes.backward, 14);
    assert_eq!(whole.passes.forward, 14 + 2 * 2 * 3);
    let folder = tempfile::tempdir().unwrap();
    let state = Some(folder.path());
    let mut stop = StopAfter { epoch: 1, done: 0 };
    run(decoder(), &recipe, (state, false), &mut stop).unwrap();
    let other = decoder().map(&mut Grow);
    let error = run(other, &recipe, (state, true), &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the teacher, has other weights now"),
        "{error}"
    );
    let resumed = run(decoder(), &recipe, (state, true), &mut Silent).unwrap();
    assert_eq!(apart(&resumed.network, &whole.network), 0.0);
}

#[test]
fn a_network_that_knows_nothing_teaches_nothing() {
    let text = |model: &str| {
        format!(
            "seed = 1\n[task]\nkind = \"language-modelling\"\n[model]\n{model}\n[data]\nsource = \"personal\"\n\
             [method]\nkind = \"distillation\"\n"
        )
    };
    let pretrained = |adapter: &str| {
        let folder = env!("CARGO_MANIFEST_DIR");
        format!("kind = \"pretrained\"\nfolder = \"{folder}\"\n{adapter}")
    };
    let check = |model: &str| toml::from_str::<Recipe>(&text(model)).unwrap().check();
    for model in [
        "kind = \"decoder\"".to_string(),
        pretrained("adapter = { kind = \"prompt\", tokens = 4 }"),
        pretrained("adapter = { kind = \"prefix\", tokens = 4 }"),
    ] {
        let message = check(&model).unwrap_err().to_string();
        assert!(
            message.contains("another method, or a network that comes trained"),
            "{message}"
        );
    }
    check(&pretrained("")).unwrap();
    check(&pretrained(
        "adapter = { kind = \"lora\", rank = 2, alpha = 4.0, targets = [\"query\"] }",
    ))
    .unwrap();
}
