//! The task against oracles of its own, and who is learned from and judged on.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use burn::module::{Module, Param};
use crossburn_models::{FaceNetConfig, ModelConfig, Network, initialize};

use super::*;
use crate::data::{Amount, DataSource, FacesConfig, Normalization, Style, Values, faces};
use crate::task::{Part, Role, Shape, TaskParts};
use crate::{Batches, Recipe, Run, evaluate, train};

/// Gives an image its own pixels, times a number.
#[derive(Module, Debug)]
struct Pixels {
    factor: Param<Tensor<1>>,
}

impl Pixels {
    fn new(factor: f32) -> Self {
        Self {
            factor: Param::from_tensor(Tensor::full([1], factor, &Device::flex())),
        }
    }
}

impl Network for Pixels {}

impl Recognizer for Pixels {
    fn embed(&self, inputs: Tensor<4>) -> Tensor<2> {
        inputs.flatten::<2>(1, 3) * self.factor.val().reshape([1, 1])
    }

    fn class_vectors(&self) -> Tensor<2> {
        Tensor::ones([3, 2], &Device::flex())
    }
}

/// Two groups of two people with two images of two pixels each: vectors at these angles, in degrees.
fn angles(all: [f64; 8]) -> Samples {
    let pixels = all.iter().flat_map(|angle| {
        let (sin, cos) = angle.to_radians().sin_cos();
        [cos as f32, sin as f32]
    });
    let names = ["a", "a", "b", "b", "c", "c", "d", "d"];
    let labels = [0, 0, 0, 0, 1, 1, 1, 1];
    Samples {
        shape: [1, 1, 2],
        values: Values::Floats(pixels.collect()),
        labels: labels.to_vec(),
        classes: 2,
        class_names: vec!["x".to_string(), "y".to_string()],
        normalization: Normalization::none(1),
        origins: Some(Origins::in_order(names.into_iter().zip(labels))),
        masks: None,
    }
}

fn config() -> VerificationConfig {
    VerificationConfig {
        mirror: false,
        // All pairs: two mated ones and as many of the four others.
        pairs: 10,
        threshold: Some(0.5),
        ..VerificationConfig::default()
    }
}

/// Group x is told apart by 60 degrees. In group y the images of person d are 100 degrees apart.
const ANGLES: [f64; 8] = [0.0, 10.0, 90.0, 100.0, 0.0, 10.0, 90.0, 190.0];

fn value(task: &Verification, network: &Pixels) -> Result<f64, TrainingError> {
    evaluate(network, &Batches::new(task, 3, &Device::flex()).unwrap())
}

#[test]
fn numbers_of_pairs_are_those_worked_by_hand() {
    for (metric, expected) in [
        // Group x: all right. Group y: mated 10 and 100 degrees, others of 80 degrees or more: one of two mated pairs is refused.
        (VerificationMetric::Avg, 0.875),
        (VerificationMetric::WorstGroup, 0.75),
        (VerificationMetric::To, 0.875 - 0.125),
        // No other pair is closer than 80 degrees, and one at least is closer than 100: three of four mated pairs are above all others.
        (VerificationMetric::Fnmr, 0.25),
    ] {
        let config = VerificationConfig { metric, ..config() };
        let task = Verification::judge(angles(ANGLES), &config, 1).unwrap();
        assert_eq!(task.pairs(), 8);
        for factor in [1.0, 3.5] {
            let found = value(&task, &Pixels::new(factor)).unwrap();
            assert!((found - expected).abs() < 1e-9, "{metric:?} {found}");
        }
        let also: BTreeMap<String, f64> = task
            .also(&task.vectors(&Pixels::new(1.0), &Device::flex()).unwrap())
            .into_iter()
            .map(|(metric, value)| (metric.name.into_owned(), value))
            .collect();
        assert_eq!((also["accuracy, x"], also["accuracy, y"]), (1.0, 0.75));
        assert_eq!((also["threshold"], also["pairs"]), (0.5, 8.0));
        assert_eq!(also["SD of all groups"], 0.125);
        assert!(also["AVG at the oracle threshold (not used)"] >= 0.875);
    }
}

#[test]
fn charts_show_groups_and_how_sure_rates_are() {
    let task = Verification::judge(angles(ANGLES), &config(), 1).unwrap();
    let tally = task.vectors(&Pixels::new(1.0), &Device::flex()).unwrap();
    let charts = task.charts(&tally);
    assert_eq!(charts.len(), 2);
    // Worked by hand above.
    assert_eq!(charts[1].traces[0].points, [(1.0, 1.0), (2.0, 0.75)]);
    assert!(charts[1].note.contains("1 x, 2 y"), "{}", charts[1].note);
    let traces = &charts[0].traces;
    assert_eq!(
        (traces[0].shape, traces[1].shape),
        (Shape::Band, Shape::Line)
    );
    for ends in traces[0].points.chunks(2) {
        assert!(ends[0].0 == ends[1].0 && ends[0].1 <= ends[1].1);
    }
    // At a false match rate of 1 everything matches, whoever is drawn.
    assert_eq!(traces[0].points.last(), Some(&(1.0, 0.0)));
}

#[test]
fn pairs_that_a_chip_decides_otherwise_are_shown() {
    let task = Verification::judge(angles(ANGLES), &config(), 1).unwrap();
    let quiet = task.vectors(&Pixels::new(1.0), &Device::flex()).unwrap();
    assert_eq!(task.flips(&quiet, &quiet), None);
    // The chip takes the second image of a to 90 degrees, where those of b are, and the second of d to the first.
    let mut chip = quiet.clone();
    for place in [1, 7] {
        chip.rows[place].1 = vec![0.0, 1.0];
    }
    let found = task.flips(&quiet, &chip).unwrap();
    // The two images of a count as of two people, and pairs of the second with images of b as of one person. Those of d become right.
    let with_b = task.pairs.iter().filter(|pair| {
        pair.people[0] != pair.people[1] && pair.group == 0 && pair.places.contains(&1)
    });
    let wrong = 1 + with_b.count();
    let note = format!("Of 8 pairs the chip decides {wrong} wrong that");
    assert!(found.note.starts_with(&note), "{}", found.note);
    assert!(found.note.contains("and 1 right"), "{}", found.note);
    assert_eq!(found.rows.len(), wrong + 1);
    let last = &found.rows[wrong];
    assert_eq!(last.name, "One person, accepted");
    assert_eq!(
        last.notes,
        [
            "group y",
            "score -0.174, on the chip 1.000",
            "threshold 0.500"
        ]
    );
    // Two pixels: 0 and 1, from black to white.
    assert_eq!(last.panels[0].pixels, [[0; 3], [255; 3]]);
    assert_eq!((last.panels.len(), last.panels[0].width), (2, 2));
}

#[test]
fn a_face_and_its_mirror_have_the_vector_of_both() {
    let task = |mirror| {
        let config = VerificationConfig { mirror, ..config() };
        Verification::judge(angles(ANGLES), &config, 1).unwrap()
    };
    // (cos, sin) and its mirror (sin, cos) add up to a multiple of (1, 1), but for 190 degrees: of (-1, -1).
    let vectors = |mirror| {
        let found = task(mirror)
            .vectors(&Pixels::new(2.0), &Device::flex())
            .unwrap();
        found
            .rows
            .into_iter()
            .map(|(_, row)| row)
            .collect::<Vec<_>>()
    };
    let both = vectors(true);
    let half = 0.5f32.sqrt();
    for (angle, row) in ANGLES.iter().zip(&both) {
        let sign = if *angle > 135.0 { -1.0 } else { 1.0 };
        assert!((row[0] - sign * half).abs() < 1e-6 && (row[1] - sign * half).abs() < 1e-6);
    }
    assert!((vectors(false)[0][0] - 1.0).abs() < 1e-6);
}

#[test]
fn the_threshold_is_that_of_held_back_people_and_never_of_those_that_are_judged() {
    let device = Device::flex();
    let config = VerificationConfig {
        threshold: None,
        metric: VerificationMetric::Avg,
        ..config()
    };
    let model = ModelConfig::Own(Default::default());
    let sizes = FaceNetConfig::default();
    let parts = Verifications::new(&model, &sizes, &config);
    let test = Verification::judge(angles(ANGLES), &config, 1).unwrap();
    let test = test.with_kept_threshold(parts.kept());
    let message = value(&test, &Pixels::new(1.0)).unwrap_err().to_string();
    assert!(message.contains("there is no threshold"), "{message}");
    // Held-back people whose pairs part between 20 and 70 degrees: halfway between their cosines.
    let held = angles([0.0, 20.0, 90.0, 110.0, 0.0, 20.0, 90.0, 110.0]);
    let held = Verification::judge(held, &config, 1).unwrap();
    let held = Verification {
        purpose: Purpose::Choose,
        ..held
    };
    TaskParts::<Pixels>::check_held_back(&parts, &held).unwrap();
    // They choose an epoch by their own best threshold.
    assert_eq!(value(&held, &Pixels::new(1.0)).unwrap(), 1.0);
    parts.settle(|| Pixels::new(1.0), &held, &device).unwrap();
    let found = test.threshold(&[]).unwrap();
    let others: Vec<Compared> = held.compared(&held.vectors(&Pixels::new(1.0), &device).unwrap());
    let largest = others.iter().filter(|pair| !pair.is_mated());
    let largest = largest.map(|pair| pair.score).fold(-1.0, f64::max);
    let expected = (20f64.to_radians().cos() + largest) / 2.0;
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    assert_eq!(value(&test, &Pixels::new(1.0)).unwrap(), 0.875);
    // It lies with the checkpoint, and the recipe's own one comes before it.
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("checkpoint");
    TaskParts::<Pixels>::save(&parts, &Pixels::new(1.0), &checkpoint).unwrap();
    let own = VerificationConfig {
        threshold: Some(0.25),
        ..config.clone()
    };
    for (config, expected) in [(&config, found), (&own, 0.25)] {
        let parts = Verifications::new(&model, &sizes, config);
        TaskParts::<Pixels>::open(&parts, &checkpoint).unwrap();
        let task = Verification::judge(angles(ANGLES), config, 1).unwrap();
        let task = task.with_kept_threshold(parts.kept());
        assert_eq!(task.threshold(&[]), Some(expected));
    }
}

fn owners(task: &Verification) -> BTreeSet<u32> {
    (0..task.items()).map(|item| task.person(item)).collect()
}

#[test]
fn nobody_is_on_both_sides_of_a_split() {
    for style in [Style::Real, Style::Synthetic, Style::Mixed] {
        let set = FacesConfig {
            style,
            images: 3,
            ..FacesConfig::default()
        };
        let samples = Arc::new(faces(1, 0, 3 * 216, &set));
        let all = Verification::learn(Arc::clone(&samples), &config(), 4).unwrap();
        for held in [0.1, 0.3] {
            let count = all.items() - (held * all.items() as f64) as usize;
            let (learn, held_back) = all.hold_back(count);
            let (learned, held) = (owners(&learn), owners(&held_back));
            assert!(learned.is_disjoint(&held) && !held.is_empty());
            assert_eq!(learn.items() + held_back.items(), all.items());
            assert_eq!(learn.identities(), learned.len());
            assert!(held_back.pairs() > 0 && learn.pairs() == 0);
            for pair in held_back.pairs.iter() {
                assert!(pair.people.iter().all(|person| held.contains(person)));
            }
            // Class vectors are numbered without a gap.
            let batch = learn.batch(&(0..learn.items()).collect::<Vec<_>>(), &Device::flex());
            let numbers: BTreeSet<usize> = batch.unwrap().identities.into_iter().collect();
            assert_eq!(numbers, (0..learned.len()).collect());
        }
    }
}

#[test]
fn cleansing_sees_nobody_who_is_held_back() {
    // Ten people with two images each. A pixel that is no number makes any network fail that sees it.
    let set = |unseen: &[usize]| {
        let pixel = |place: usize| {
            let (sin, cos) = (f64::from(place as u32 / 2) * 0.6).sin_cos();
            match unseen.contains(&place) {
                true => [f32::NAN; 2],
                false => [cos as f32, sin as f32],
            }
        };
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        let origins = names.iter().flat_map(|name| [(*name, 0); 2]);
        Samples {
            shape: [1, 1, 2],
            values: Values::Floats((0..20).flat_map(pixel).collect()),
            labels: vec![0; 20],
            classes: 1,
            class_names: Vec::new(),
            normalization: Normalization::none(1),
            origins: Some(Origins::in_order(origins)),
            masks: None,
        }
    };
    let parted = |unseen: &[usize]| {
        let all = Verification::learn(set(unseen), &config(), 4).unwrap();
        all.hold_back(16)
    };
    let places = parted(&[]).1.places;
    let (learn, held_back) = parted(&places);
    assert_eq!((learn.items(), held_back.items()), (16, 4));
    assert_eq!(held_back.places, places);
    let (network, device) = (Pixels::new(1.0), Device::flex());
    assert!(held_back.vectors(&network, &device).is_err());
    let mut seen = Vec::new();
    let mut told = |count| {
        seen.push(count);
        ControlFlow::Continue(())
    };
    let found = learn.cleansed(&network, Cleansing::default(), &device, &mut told);
    let (kept, left_out) = found.unwrap().unwrap();
    assert_eq!((kept.items(), left_out), (16, Cleansed::default()));
    assert_eq!(seen, [16]);
    // It can be stopped.
    let mut stop = |_| ControlFlow::Break(());
    let found = learn.cleansed(&network, Cleansing::default(), &device, &mut stop);
    assert!(found.unwrap().is_none());
}

#[test]
fn balanced_epochs_have_as_many_of_every_group() {
    let samples = Arc::new(faces(
        1,
        0,
        360,
        &FacesConfig {
            images: 5,
            ..FacesConfig::default()
        },
    ));
    let counts = |sampling| {
        let config = VerificationConfig {
            sampling,
            ..config()
        };
        let task = Verification::learn(Arc::clone(&samples), &config, 1).unwrap();
        let batches = task.epoch(&Philox::new(3, 1), 64);
        let items: Vec<usize> = batches.concat();
        assert_eq!((items.len(), batches[0].len()), (360, 64));
        let mut counts = [0; 8];
        for item in items {
            counts[usize::from(samples.labels[item])] += 1;
        }
        counts
    };
    assert_eq!(counts(Sampling::Balanced), [45; 8]);
    assert_eq!(counts(Sampling::Each), [80, 70, 60, 50, 40, 30, 20, 10]);
}

#[test]
fn a_small_network_learns_people_whom_it_has_not_seen() {
    let set = FacesConfig {
        balanced: true,
        images: 8,
        ..FacesConfig::default()
    };
    let config = VerificationConfig {
        metric: VerificationMetric::Avg,
        pairs: 40,
        ..VerificationConfig::default()
    };
    let all = Verification::learn(faces(1, 0, 8 * 96, &set), &config, 1).unwrap();
    let (learn, held_back) = all.hold_back(8 * 72);
    let sizes = FaceNetConfig {
        features: 8,
        numbers: 32,
        identities: 96,
        ..FaceNetConfig::default()
    };
    let device = Device::flex().autodiff();
    let mut recipe = Recipe::own(1);
    recipe.training.epochs = 12;
    recipe.training.batch = 48;
    let network = initialize(sizes.init(&device), 1);
    let run = Run::new(&learn, &held_back, &device);
    let trained = train(network, &recipe, &run, &mut crate::Silent).unwrap();
    let (first, last) = (&trained.curve[0], &trained.curve[11]);
    assert!(last.train_loss < 0.9 * first.train_loss);
    // Were scores drawn by chance, the best threshold of 320 pairs of each kind would reach 0.61 once in a million (Kolmogorov and Smirnov:
    // half of 2.69 times the root of 2 / 320, above one half).
    let network = trained.network.valid();
    let batches = Batches::new(&held_back, 64, &Device::flex()).unwrap();
    let found = evaluate(&network, &batches).unwrap();
    assert!(found > 0.65, "{found}");
}

#[test]
fn a_training_goes_on_with_the_images_that_it_began_with() {
    let set = FacesConfig {
        balanced: true,
        images: 4,
        ..FacesConfig::default()
    };
    let config = VerificationConfig {
        metric: VerificationMetric::Avg,
        pairs: 40,
        ..VerificationConfig::default()
    };
    let all = Verification::learn(faces(1, 0, 4 * 96, &set), &config, 1).unwrap();
    let (learn, held_back) = all.hold_back(4 * 72);
    let sizes = FaceNetConfig {
        features: 2,
        numbers: 4,
        identities: 96,
        ..FaceNetConfig::default()
    };
    let device = Device::flex().autodiff();
    let mut recipe = Recipe::own(1);
    recipe.training.epochs = 1;
    let folder = tempfile::tempdir().unwrap();
    let epochs = |learn: &Verification, resume| {
        let run = Run {
            state: Some(folder.path()),
            resume,
            ..Run::new(learn, &held_back, &device)
        };
        let network = initialize(sizes.init(&device), 1);
        let trained = train(network, &recipe, &run, &mut crate::Silent);
        trained.map(|trained| trained.curve.len())
    };
    assert_eq!(epochs(&learn, false).unwrap(), 1);
    assert_eq!(epochs(&learn, true).unwrap(), 1);
    // As after another cleansing.
    let fewer = learn.learned_from(&learn.places[1..]).unwrap();
    let message = epochs(&fewer, true).unwrap_err().to_string();
    assert_eq!(
        message,
        "the items to learn from have changed since this run began; hint: start without --resume"
    );
    assert_eq!(epochs(&fewer, false).unwrap(), 1);
}

#[test]
fn what_cannot_be_judged_is_refused_in_one_line() {
    let refused = |samples: Samples, config: &VerificationConfig| {
        let message = Verification::judge(samples, config, 1)
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    };
    // Group y has one person.
    let mut one = angles(ANGLES);
    one.origins.as_mut().unwrap().samples[6..]
        .iter_mut()
        .for_each(|origin| origin.group = 2);
    let message = refused(one, &config());
    assert!(message.contains("group y has no two people"), "{message}");
    for (key, change) in [
        (
            "task.scale",
            (|c| c.scale = 0.0) as fn(&mut VerificationConfig),
        ),
        ("task.margin", |c| c.margin = Some(2.0)),
        ("task.margin", |c| {
            (c.head, c.margin) = (Head::Softmax, Some(0.1))
        }),
        ("task.h", |c| c.h = f64::NAN),
        ("task.occlusion", |c| c.occlusion = 1.5),
        ("task.threshold", |c| c.threshold = Some(1.5)),
        ("task.pairs", |c| c.pairs = 0),
    ] {
        let mut config = config();
        change(&mut config);
        assert!(refused(angles(ANGLES), &config).starts_with(key));
    }
    let task = Verification::judge(angles(ANGLES), &config(), 1).unwrap();
    let message = value(&task, &Pixels::new(f32::NAN))
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("the network gives NaN"), "{message}");
}

#[test]
fn a_network_without_a_class_vector_for_everybody_is_refused_before_training() {
    let config = config();
    let source: DataSource = "faces?images=2".parse().unwrap();
    for (identities, fits) in [(20, true), (19, false)] {
        let sizes = FaceNetConfig {
            identities,
            ..FaceNetConfig::default()
        };
        let model = ModelConfig::Face(sizes);
        let parts = Verifications::new(&model, &sizes, &config);
        let part = (Part::Training, Role::Learn);
        let amount = Amount::exactly(40);
        let found = TaskParts::<Pixels>::load(&parts, &source, 1, part, amount);
        match fits {
            true => assert_eq!(found.unwrap().identities(), 20),
            false => {
                let message = found.unwrap_err().to_string();
                assert!(message.starts_with("model.identities = 19"), "{message}");
            }
        }
    }
}
