//! The task against oracles of its own: losses and gradients in 64 bits, and what is learned from.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::Module;
use burn::tensor::TensorData;
use crossburn_models::EmbeddingHeadConfig;
use crossburn_noise::{Distribution, FEFET6, FourLevel, Variation};

use super::*;
use crate::data::{Amount, DataSource};
use crate::task::{Part, TaskParts};
use crate::{Batches, Recipe, Run, TaskConfig, evaluate, train};

fn tensor(values: &[f64], width: usize, device: &Device) -> Tensor<2> {
    let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    let rows = values.len() / width;
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}

/// Numbers of magnitude up to 1, without a pattern.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let draws = Philox::new(seed, 0);
    (0..count)
        .map(|i| 2.0 * draws.uniform(i as u64) - 1.0)
        .collect()
}

fn four_level(sigma: f64) -> Variation {
    Variation::from(Distribution::FourLevel(FourLevel {
        sigma_rel_wmax: sigma,
        ratio: FEFET6,
    }))
}

/// The loss in 64 bits, from its formula.
fn by_hand(config: &RetrievalConfig, rows: [&[f64]; 4], width: usize) -> f64 {
    let distance = |a: &[f64], b: &[f64]| {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        match config.distance {
            Distance::Euclidean => {
                let gaps: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                product(&gaps, &gaps).sqrt()
            }
            Distance::Cosine => 1.0 - product(a, b) / (product(a, a) * product(b, b)).sqrt(),
        }
    };
    let items = rows[0].len() / width;
    let of = |item: usize| {
        let [a, p, n, clean] = rows.map(|rows| &rows[item * width..][..width]);
        let first = (distance(a, p) - distance(a, n) + config.margin).max(0.0);
        let second = (config.second_margin - distance(a, clean)).max(0.0);
        second + if config.contrast { first } else { 0.0 }
    };
    (0..items).map(of).sum::<f64>() / items as f64
}

#[test]
fn loss_and_gradient_are_those_of_the_formula_in_64_bits() {
    let (items, width) = (6, 5);
    let device = Device::flex().autodiff();
    for (distance, margin, contrast) in [
        (Distance::Euclidean, 1.0, true),
        // Some triplets are far enough apart.
        (Distance::Euclidean, 0.0, true),
        (Distance::Cosine, 0.2, true),
        (Distance::Euclidean, 1.0, false),
    ] {
        let config = RetrievalConfig {
            distance,
            margin,
            second_margin: 1.2,
            contrast,
            ..RetrievalConfig::default()
        };
        let mut rows: Vec<Vec<f64>> = (0..4).map(|k| numbers(items * width, 5 + k)).collect();
        let tensors: Vec<Tensor<2>> = (rows.iter())
            .map(|rows| tensor(rows, width, &device).require_grad())
            .collect();
        let [anchors, positives, negatives, undeviated] = [0, 1, 2, 3].map(|k| tensors[k].clone());
        let loss = triplet_loss(
            &config,
            Contrasted {
                anchors,
                positives,
                negatives,
                undeviated,
            },
        );
        let value =
            |rows: &[Vec<f64>]| by_hand(&config, [&rows[0], &rows[1], &rows[2], &rows[3]], width);
        let found = f64::from(loss.clone().into_scalar::<f32>());
        // Sums of five products below 1, in 32 bits.
        assert!(
            (found - value(&rows)).abs() < 2e-6,
            "{found} {}",
            value(&rows)
        );
        let gradients = loss.backward();
        for (k, tensor) in tensors.iter().enumerate() {
            let gradient = match tensor.grad(&gradients) {
                Some(gradient) => values(gradient).unwrap(),
                None => vec![0.0; items * width],
            };
            for (place, gradient) in gradient.iter().enumerate() {
                let mut at = |step: f64| {
                    rows[k][place] += step;
                    let value = value(&rows);
                    rows[k][place] -= step;
                    value
                };
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (f64::from(*gradient) - expected).abs() < 1e-5,
                    "{distance:?} {k} {place}: {gradient} {expected}"
                );
            }
        }
    }
}

#[test]
fn stored_vectors_are_rounded_on_one_scale_and_deviate_by_its_law() {
    let device = Device::flex();
    let rows = numbers(40 * 50, 3);
    let largest = rows.iter().fold(0.0f64, |most, x| most.max(x.abs()));
    let bits = WeightBits::new(4).unwrap();
    let found = stored(tensor(&rows, 50, &device), bits, None);
    let undeviated = values(found.undeviated.clone()).unwrap();
    assert_eq!(undeviated, values(found.deviated).unwrap());
    for (x, found) in rows.iter().zip(&undeviated) {
        let expected = (x / largest * 7.0).round() * largest / 7.0;
        assert!((f64::from(*found) - expected).abs() < 1e-6);
    }
    let noise = StoredNoise {
        variation: four_level(0.1),
        chip: ChipSeed::new(3, 4),
    };
    let deviated = stored(tensor(&rows, 50, &device), bits, Some(&noise)).deviated;
    let deviated = values(deviated).unwrap();
    // Deviations of inner and of outer levels, relative to the full scale: 0.155 and 0.026 at σ = 0.1, RoCR table 2.
    for (inner, expected) in [(true, 0.155), (false, 0.026)] {
        let of_level = undeviated.iter().zip(&deviated).filter(|(x, _)| {
            let magnitude = f64::from(x.abs()) / largest;
            (magnitude > 0.25 && magnitude < 0.75) == inner
        });
        let gaps: Vec<f64> = of_level.map(|(x, y)| f64::from(y - x) / largest).collect();
        let count = gaps.len() as f64;
        let found = (gaps.iter().map(|gap| gap * gap).sum::<f64>() / count).sqrt();
        // Two decimals of the table, and five standard errors of σ, σ / √(2n).
        let bound = 5e-4 + 5.0 * expected / (2.0 * count).sqrt();
        assert!((found - expected).abs() < bound, "{inner}: {found}");
    }
}

#[test]
fn gradients_pass_through_the_rounding_and_reach_the_full_scale() {
    let device = Device::flex().autodiff();
    let rows = numbers(12, 9);
    let weights = numbers(12, 10);
    let bits = WeightBits::new(8).unwrap();
    let noise = StoredNoise {
        variation: four_level(0.3),
        chip: ChipSeed::new(1, 2),
    };
    let leaf = tensor(&rows, 4, &device).require_grad();
    let found = stored(leaf.clone(), bits, Some(&noise));
    let deviated = values(found.deviated.clone().detach()).unwrap();
    let undeviated = values(found.undeviated.clone().detach()).unwrap();
    let loss = (found.deviated * tensor(&weights, 4, &device)).sum();
    let gradient = values(leaf.grad(&loss.backward()).unwrap()).unwrap();
    let full = (0..12)
        .max_by(|a, b| rows[*a].abs().total_cmp(&rows[*b].abs()))
        .unwrap();
    for place in 0..12 {
        let mut expected = weights[place];
        if place == full {
            // s is |x| there: d(s δ)/dx = δ sign(x), and rounding is taken for the identity, x = s (x / s).
            let by_scale: f64 = (0..12)
                .map(|other| {
                    let moved = f64::from(deviated[other]) - rows[other];
                    weights[other] * moved / rows[full].abs()
                })
                .sum();
            expected += by_scale * rows[full].signum();
            assert!(by_scale.abs() > 1e-3);
        }
        let gap = (f64::from(gradient[place]) - expected).abs();
        assert!(gap < 1e-5, "{place}: {} {expected}", gradient[place]);
    }
    assert_ne!(deviated, undeviated);
}

fn recipe(text: &str) -> Recipe {
    let text = format!(
        "seed = 2\n[data]\nsource = \"topics\"\ntrain = 40\nvalidation = 10\ntest = 20\n[model]\nkind = \"embedding-head\"\nhidden = 16\noutputs = 8\n[training]\nepochs = 2\nbatch = 8\n[task]\nkind = \"retrieval\"\n{text}"
    );
    toml::from_str(&text).unwrap()
}

fn parts(recipe: &Recipe) -> Retrievals {
    let TaskConfig::Retrieval(config) = &recipe.task else {
        panic!("retrieval");
    };
    recipe.check().unwrap();
    Retrievals::new(config, &EmbeddingHeadConfig::default(), &Device::flex()).unwrap()
}

fn load(recipe: &Recipe, part: Part, role: Role, count: usize) -> Retrieval {
    let parts = parts(recipe);
    let source: DataSource = recipe.data.source.clone();
    let amount = Amount::exactly(count);
    TaskParts::<crossburn_models::EmbeddingHead>::load(&parts, &source, 2, (part, role), amount)
        .unwrap()
}

#[test]
fn triplets_are_those_of_the_two_recipes() {
    let device = Device::flex();
    let moment = |key| Moment { key, progress: 0.9 };
    let items = [3, 0, 7];
    let rows = |tensor: &Tensor<2>| values(tensor.clone()).unwrap();
    for labels in [true, false] {
        let recipe = recipe(if labels { "" } else { "triplets = \"data\"" });
        let task = load(&recipe, Part::Training, Role::Learn, 10);
        let batch = task.fresh(&items, moment(5), &device).unwrap();
        assert_eq!((batch.items(), batch.targets.clone()), (3, vec![0, 1, 2]));
        let again = task.fresh(&items, moment(5), &device).unwrap();
        let other = task.fresh(&items, moment(6), &device).unwrap();
        assert_eq!(rows(&batch.documents), rows(&again.documents));
        assert_ne!(rows(&batch.documents), rows(&other.documents));
        let anchors = rows(&batch.queries);
        let own = task
            .documents
            .gather(&task.documents.stored, items.iter().copied());
        assert_eq!(anchors, own);
        // A tenth is dropped, the others are divided by 0.9.
        let positives = rows(&batch.documents);
        let dropped = positives.iter().filter(|x| **x == 0.0).count();
        // 1152 draws: 115 ± 5 standard errors of 10.2.
        assert!((64..167).contains(&dropped), "{dropped}");
        let mut kept = positives.iter().zip(&anchors).filter(|(x, _)| **x != 0.0);
        assert!(kept.all(|(x, a)| (x * 0.9 - a).abs() < 1e-6));
        let negatives = rows(batch.negatives.as_ref().unwrap());
        if labels {
            // One of the five with the own body.
            for (row, item) in negatives.chunks(384).zip(items) {
                let all = &task.documents.negatives[item * NEGATIVES * 384..];
                assert!(all.chunks(384).take(NEGATIVES).any(|known| known == row));
            }
        } else {
            // Nine of ten are masked, the others stay as they are.
            let kept = negatives.iter().zip(&anchors).filter(|(x, _)| **x != 0.0);
            assert!(kept.clone().all(|(x, a)| x == a));
            assert!((64..167).contains(&kept.count()));
        }
    }
    let titles = recipe("queries = \"title\"");
    let task = load(&titles, Part::Training, Role::Learn, 10);
    let batch = task.fresh(&items, moment(5), &device).unwrap();
    let own = task
        .documents
        .gather(&task.documents.stored, items.iter().copied());
    assert_eq!(rows(&batch.documents), own);
    for (row, item) in rows(batch.negatives.as_ref().unwrap())
        .chunks(384)
        .zip(items)
    {
        let place = task
            .documents
            .stored
            .chunks(384)
            .position(|known| known == row);
        assert!(place.is_some_and(|place| place != item));
    }
}

#[test]
fn deviations_rise_and_hold_where_an_epoch_is_chosen() {
    let recipe = recipe("[task.noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.3");
    let task = load(&recipe, Part::Training, Role::Learn, 10);
    let device = Device::flex();
    let sigma = |batch: &Searched| batch.noise.map(|noise| noise.variation.sigma());
    for (progress, expected) in [(0.0, 0.0), (1.0 / 6.0, 0.15), (0.5, 0.3), (0.9, 0.3)] {
        let batch = task
            .fresh(&[1], Moment { key: 1, progress }, &device)
            .unwrap();
        assert!((sigma(&batch).unwrap() - expected).abs() < 1e-12);
    }
    let (_, held_back) = task.hold_back(6);
    let chosen = held_back.batch(&[0], &device).unwrap();
    assert_eq!((sigma(&chosen), chosen.documents.items()), (Some(0.3), 4));
    // The second batch sees the same chip.
    assert_eq!(held_back.batch(&[1], &device).unwrap().noise, chosen.noise);
    let judged = load(&recipe, Part::Test, Role::Judge, 10);
    assert_eq!(sigma(&judged.batch(&[0], &device).unwrap()), None);
}

#[test]
fn a_head_learns_and_is_judged_among_all_documents_of_its_part() {
    let recipe = recipe("[task.noise]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.1");
    let device = Device::flex().autodiff();
    let config = EmbeddingHeadConfig {
        hidden: 16,
        outputs: 8,
        ..EmbeddingHeadConfig::default()
    };
    let task = load(&recipe, Part::Training, Role::Learn, 40);
    let (learn, validation) = task.hold_back(30);
    let run = Run::new(&learn, &validation, &device);
    let trained = || {
        let head = config.init(2, &device);
        train(head, &recipe, &run, &mut crate::Silent).unwrap()
    };
    let (first, second) = (trained(), trained());
    assert_eq!(first.curve, second.curve);
    assert!(
        first
            .curve
            .iter()
            .all(|record| record.train_loss.is_finite())
    );
    let test = load(&recipe, Part::Test, Role::Judge, 20);
    let quiet = Device::flex();
    let network = first.network.valid();
    let batches = |size| Batches::new(&test, size, &quiet).unwrap();
    let found = evaluate(&network, &batches(7)).unwrap();
    // However many queries pass at a time, all documents are searched.
    assert_eq!(found, evaluate(&network, &batches(20)).unwrap());
    // The same by hand, from what a store would get.
    let [queries, documents] = test.embedded(&network, &quiet).unwrap();
    let full = documents.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let rounded = documents.iter().map(|x| (x / full * 127.0).round() as f64);
    let rounded: Vec<f64> = rounded.collect();
    let right = (0..20).filter(|query| {
        let score = |document: usize| -> f64 {
            let pairs =
                (0..8).map(|i| f64::from(queries[query * 8 + i]) * rounded[document * 8 + i]);
            pairs.sum()
        };
        (0..20).all(|other| other == *query || score(other) < score(*query))
    });
    assert_eq!(found, right.count() as f64 / 20.0);
}

#[test]
fn bad_settings_are_refused_by_key() {
    for (text, part) in [
        ("dropout = 1.0", "task.dropout = 1 is not allowed"),
        ("bits = 9", "task.bits = 9 is not allowed: use 2 to 8"),
        ("k = 0", "task.k = 0"),
        ("margin = -1.0", "task.margin = -1"),
        ("ramp = 2.0", "task.ramp = 2"),
        (
            "contrast = false\nsecond_margin = 0.0",
            "task.contrast = false",
        ),
    ] {
        let message = recipe(text).check().unwrap_err().to_string();
        assert!(message.starts_with(part), "{message}");
    }
    let mut narrow = recipe("");
    narrow.data.source = "digits".parse().unwrap();
    let message = narrow.check().unwrap_err().to_string();
    assert!(message.contains("text is needed"), "{message}");
    let TaskConfig::Retrieval(config) = recipe("").task else {
        panic!("retrieval");
    };
    let head = EmbeddingHeadConfig {
        inputs: 100,
        ..EmbeddingHeadConfig::default()
    };
    let error = Retrievals::new(&config, &head, &Device::flex())
        .err()
        .unwrap();
    assert!(
        error.to_string().starts_with("model.inputs = 100"),
        "{error}"
    );
    // A head and another task.
    let other = recipe("").model;
    let message = TaskConfig::default()
        .check(&other, &"topics".parse().unwrap())
        .unwrap_err()
        .to_string();
    assert!(message.contains("head on an encoder"), "{message}");
}
