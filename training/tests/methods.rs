//! Whole training runs of every method: what they compute, that they resume and repeat to the same bytes.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::Path;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::write_shipped_model;
use crossburn_models::{Classifier, ModelConfig, Network, initialize};
use crossburn_training::data::{Samples, digits};
use crossburn_training::{
    Classification, EpochRecord, Passes, Recipe, Run, Silent, Task, Trained, TrainingObserver,
    Trisection, train,
};

/// The tables `[method]` and `[noise]`, and how often each method passes an image forward and backward.
const METHODS: [(&str, &str, u64); 7] = [
    ("kind = \"noise-injection\"", "kind = \"none\"", 1),
    ("kind = \"noise-injection\"", GAUSSIAN, 1),
    (TRICE, RIGHT_CENSORED, 3),
    (
        "kind = \"a-trice\"\nadversarial_step = 0.05",
        RIGHT_CENSORED,
        3,
    ),
    ("kind = \"a-trice\"\nliteral = true", RIGHT_CENSORED, 3),
    ("kind = \"awp\"\nstrength = 0.05", GAUSSIAN, 2),
    ("kind = \"orthogonality\"\nbeta = 1e-2", GAUSSIAN, 1),
];
const GAUSSIAN: &str = "kind = \"gaussian\"\nsigma_rel_wmax = 0.2";
const RIGHT_CENSORED: &str = "kind = \"right-censored\"\nsigma_rel_wmax = 0.4\ncensor = 1.0";
const TRICE: &str = "kind = \"trice\"\nwarm_up = 1\n\
                     variation = { kind = \"gaussian\", sigma_rel_wmax = 0.15 }";

const TRAIN: usize = 90;
const VALIDATION: usize = 40;
const EPOCHS: usize = 3;

fn recipe(method: &str, noise: &str, training: &str) -> Recipe {
    let text = format!(
        "seed = 3\n\
         [model]\nkind = \"mlp\"\nwidths = [784, 10]\nbits = 4\n\
         [data]\nsource = \"digits\"\n\
         [training]\nepochs = {EPOCHS}\nbatch = 40\n{training}\n\
         [method]\n{method}\n\
         [noise]\n{noise}\n"
    );
    toml::from_str(&text).unwrap()
}

/// A small network with a batch norm, whose running statistics have to survive as well.
#[derive(Module, Debug)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm,
    fc: Linear,
}

impl Net {
    fn new() -> Self {
        let device = Device::flex().autodiff();
        let conv = Conv2dConfig::new([1, 4], [4, 4]).with_stride([4, 4]);
        let network = Self {
            conv: conv.init(&device),
            norm: BatchNormConfig::new(4).init(&device),
            fc: LinearConfig::new(4 * 7 * 7, 10).init(&device),
        };
        initialize(network, 5)
    }

    /// All weights and statistics, as bits.
    fn bits(&self) -> Vec<u32> {
        [
            self.conv.weight.val().into_data(),
            self.fc.weight.val().into_data(),
            self.fc.bias.as_ref().unwrap().val().into_data(),
            self.norm.gamma.val().into_data(),
            self.norm.beta.val().into_data(),
            self.norm.running_mean.value().into_data(),
            self.norm.running_var.value().into_data(),
        ]
        .iter()
        .flat_map(|data| data.iter::<f32>().map(f32::to_bits).collect::<Vec<_>>())
        .collect()
    }
}

impl Network for Net {}

impl Classifier for Net {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.forward(self.conv.forward(images)));
        self.fc.forward(x.flatten::<2>(1, 3))
    }
}

/// Stops after an epoch.
struct StopBehind {
    epoch: usize,
    done: usize,
}

impl TrainingObserver for StopBehind {
    fn epoch(&mut self, record: &EpochRecord) {
        self.done = record.epoch;
    }

    fn should_stop(&self) -> bool {
        self.done >= self.epoch
    }
}

struct Images {
    train: Classification,
    validation: Classification,
}

impl Images {
    fn new() -> Self {
        let all = Classification::new(digits(1, 0, TRAIN + VALIDATION));
        let (train, validation) = all.split_at(TRAIN);
        Self { train, validation }
    }

    fn train(&self, recipe: &Recipe) -> Trained<Net> {
        self.run(recipe, None, false, &mut Silent)
    }

    fn run(
        &self,
        recipe: &Recipe,
        state: Option<&std::path::Path>,
        resume: bool,
        observer: &mut dyn TrainingObserver,
    ) -> Trained<Net> {
        let device = Device::flex().autodiff();
        let run = Run {
            train: &self.train,
            validation: &self.validation,
            device: &device,
            state,
            resume,
        };
        train(Net::new(), recipe, &run, observer).unwrap()
    }
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes_for_every_method() {
    let images = Images::new();
    for (method, noise, _) in METHODS {
        let recipe = recipe(method, noise, "batch_norm_refresh = 1");
        let whole = images.train(&recipe);
        assert!(!whole.interrupted && whole.curve.len() == recipe.epochs());
        for epoch in 1..recipe.epochs() {
            let folder = tempfile::tempdir().unwrap();
            let state = Some(folder.path());
            let mut stop = StopBehind { epoch, done: 0 };
            let cut = images.run(&recipe, state, false, &mut stop);
            assert!(cut.interrupted && cut.curve.len() == epoch, "{method}");
            let resumed = images.run(&recipe, state, true, &mut Silent);
            assert_eq!(resumed.curve, whole.curve, "{method} {epoch}");
            assert_eq!(resumed.network.bits(), whole.network.bits(), "{method}");
            assert_eq!(resumed.passes, whole.passes, "{method}");
            assert_eq!(resumed.noise, whole.noise, "{method}");
            assert_eq!(resumed.best_epoch, whole.best_epoch, "{method}");
        }
    }
}

#[test]
fn threads_change_nothing_and_methods_do() {
    let images = Images::new();
    let mut all = Vec::new();
    for (method, noise, _) in METHODS {
        let recipe = recipe(method, noise, "selection = \"last\"");
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| images.train(&recipe).network.bits())
        };
        let one = on(1);
        assert_eq!(one, on(2), "{method}");
        assert!(!all.contains(&one), "{method} is another method");
        all.push(one);
    }
}

#[test]
fn passes_are_those_of_the_method() {
    let images = Images::new();
    for (method, noise, backward) in METHODS {
        let recipe = recipe(method, noise, "");
        let epochs = recipe.epochs() as u64;
        let trained = images.train(&recipe);
        let mut expected = Passes {
            backward: backward * epochs * TRAIN as u64,
            // Every epoch is validated without noise, and with it where there is some.
            forward: epochs * VALIDATION as u64 * if noise.contains("none") { 1 } else { 2 },
        };
        if method == TRICE {
            // Behind the warm-up, three copies are refreshed with one pass and judged on fifty chips.
            expected.forward += 3 * EPOCHS as u64 * (TRAIN + 50 * VALIDATION) as u64;
        }
        assert_eq!(trained.passes, expected, "{method}");
    }
}

#[test]
fn a_search_keeps_the_epoch_with_the_best_percentile_and_its_noise() {
    let images = Images::new();
    let several = format!("{TRICE}\ncensors = [0.5, 2.0]");
    let recipe = recipe(&several, RIGHT_CENSORED, "");
    let trained = images.train(&recipe);
    assert_eq!(trained.curve.len(), 2 * (1 + EPOCHS));
    let percentiles: Vec<Option<f64>> = trained
        .curve
        .iter()
        .map(|record| record.validation_percentile)
        .collect();
    // The warm-ups decide nothing.
    assert!(percentiles[0].is_none() && percentiles[1 + EPOCHS].is_none());
    let best = percentiles.iter().flatten().copied().fold(0.0, f64::max);
    let kept = &trained.curve[trained.best_epoch - 1];
    assert_eq!(kept.validation_percentile, Some(best));
    assert_eq!(trained.noise, kept.noise);
    // Both rounds start with the middle of the whole interval, the second from the initial weights again.
    for round in [0, 1 + EPOCHS] {
        assert_eq!(trained.curve[round].noise.sigma(), 0.2);
    }
    // Every σ that stood for an epoch is a candidate of the interval that the epochs before left.
    let mut search = Trisection::new(0.4);
    for record in &trained.curve[1..=EPOCHS] {
        let candidates = search.candidates();
        let sigma = record.noise.sigma();
        let winner = candidates.iter().position(|c| *c == sigma).unwrap();
        search = search.shrink(winner);
    }
}

#[test]
fn a_search_that_has_found_its_sigma_trains_one_copy() {
    let images = Images::new();
    let trice = TRICE.replace("warm_up = 1\n", "");
    let narrow = RIGHT_CENSORED.replace("0.4", "1.2e-4");
    let trained = images.train(&recipe(&trice, &narrow, ""));
    // The first epoch leaves at most three quarters of 1.2e-4: below 1e-4, one copy trains the other two.
    assert_eq!(trained.passes.backward, (3 + 1 + 1) * TRAIN as u64);
    assert!(
        trained
            .curve
            .iter()
            .all(|r| r.validation_percentile.is_some())
    );
    assert_eq!(trained.curve[1].noise, trained.curve[2].noise);
}

#[test]
fn copies_that_settle_learn_apart_and_decide_nothing() {
    let images = Images::new();
    let trice = TRICE.replace("warm_up = 1", "settle = 2");
    let trained = images.train(&recipe(&trice, RIGHT_CENSORED, ""));
    let judged: Vec<bool> = trained
        .curve
        .iter()
        .map(|record| record.validation_percentile.is_some())
        .collect();
    assert_eq!(judged, [false, false, true]);
    assert_eq!(trained.best_epoch, 3);
    // The whole interval is still there when the last epoch decides, and every copy has learned in all three.
    assert!(
        Trisection::new(0.4)
            .candidates()
            .contains(&trained.noise.sigma())
    );
    assert_eq!(trained.passes.backward, (EPOCHS * 3 * TRAIN) as u64);
}

#[test]
fn a_refresh_moves_statistics_and_nothing_else() {
    let images = Images::new();
    let plain = images.train(&recipe(METHODS[1].0, GAUSSIAN, ""));
    let refreshed = images.train(&recipe(METHODS[1].0, GAUSSIAN, "batch_norm_refresh = 3"));
    assert_eq!(refreshed.curve, plain.curve);
    let (before, after) = (plain.network.bits(), refreshed.network.bits());
    let statistics = before.len() - 2 * 4;
    assert_eq!(before[..statistics], after[..statistics]);
    assert!((statistics..before.len()).all(|i| before[i] != after[i]));
    let extra = refreshed.passes.forward - plain.passes.forward;
    assert_eq!(extra, 3 * TRAIN as u64);
}

#[test]
fn samples_with_more_classes_than_outputs_are_refused_before_the_first_step() {
    let images = Images::new();
    let recipe = recipe(METHODS[1].0, GAUSSIAN, "");
    let device = Device::flex().autodiff();
    // A label 12 in either set, and a set that says that it has 11 classes.
    let (learned, judged) = digits(1, 0, TRAIN + VALIDATION).split_at(TRAIN);
    let labelled = |set: &Samples| {
        let mut set = set.clone();
        set.labels[5] = 12;
        Classification::new(set)
    };
    let classes = Classification::new(Samples {
        classes: 11,
        ..learned.clone()
    });
    let (train_12, validation_12) = (labelled(&learned), labelled(&judged));
    for (set, validation, needed) in [
        (&train_12, &images.validation, 13),
        (&images.train, &validation_12, 13),
        (&classes, &images.validation, 11),
    ] {
        let run = Run {
            train: set,
            validation,
            device: &device,
            state: None,
            resume: false,
        };
        let mut never = StopBehind { epoch: 9, done: 0 };
        let message = train(Net::new(), &recipe, &run, &mut never)
            .unwrap_err()
            .to_string();
        let expected = format!("the network has 10 outputs, the data has {needed} classes");
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(never.done, 0);
    }
}

#[test]
fn bad_values_are_refused_with_key_and_value() {
    for (method, noise, part) in [
        (
            "kind = \"a-trice\"\nadversarial_step = -1.0",
            RIGHT_CENSORED,
            "method.adversarial_step = -1 ",
        ),
        (
            "kind = \"a-trice\"\nadversarial_weight = inf",
            RIGHT_CENSORED,
            "method.adversarial_weight = inf ",
        ),
        (
            "kind = \"a-trice\"",
            "kind = \"none\"",
            "noise.kind = none ",
        ),
        (
            "kind = \"awp\"\nstrength = nan",
            GAUSSIAN,
            "method.strength = NaN ",
        ),
        (
            "kind = \"orthogonality\"\nbeta = -0.1",
            GAUSSIAN,
            "method.beta = -0.1 ",
        ),
        (
            "kind = \"orthogonality\"\nlambda = inf",
            GAUSSIAN,
            "method.lambda = inf ",
        ),
    ] {
        let message = recipe(method, noise, "").check().unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
    for (text, part) in [
        ("kind = \"sorcery\"", "sorcery"),
        ("kind = \"trice\"", "variation"),
        ("kind = \"awp\"\nsteps = 3", "steps"),
        ("kind = \"noise-injection\"\nsigma = 1", "sigma"),
    ] {
        let message = toml::from_str::<crossburn_training::Method>(text)
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn every_recipe_that_ships_is_allowed_and_every_method_has_one() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/recipes");
    let shipped = tempfile::tempdir().unwrap();
    write_shipped_model(shipped.path()).unwrap();
    let mut methods = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut recipe: Recipe = toml::from_str(&text).unwrap();
        if let ModelConfig::Pretrained(model) = &mut recipe.model {
            // The model that comes with the program, which the command line puts there.
            assert_eq!(model.folder, Path::new("runs/models/personal"));
            model.folder = shipped.path().to_path_buf();
        }
        let source = recipe.data.source.to_string();
        if source.starts_with("jsonl:huffpost.json?") {
            // A file that people download.
            let articles = shipped.path().join("huffpost.json");
            let article = r#"{"headline": "a", "short_description": "b"}"#;
            std::fs::write(&articles, article).unwrap();
            let there = source.replacen("huffpost.json", articles.to_str().unwrap(), 1);
            recipe.data.source = there.parse().unwrap();
        }
        if source.starts_with("wfdb:") {
            // Records that people download. Procedural segments have their shape.
            recipe.data.source = "iegm".parse().unwrap();
        }
        recipe.check().unwrap();
        methods.insert(recipe.method.name());
    }
    let all = [
        "a-trice",
        "awp",
        "distillation",
        "noise-injection",
        "orthogonality",
        "trice",
    ];
    assert!(methods.into_iter().eq(all));
}
