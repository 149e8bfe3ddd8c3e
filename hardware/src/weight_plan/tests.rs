//! Plans of weights: which are pruned and quantized, and how.

use super::*;
use crate::{manufacture, programmed, quantize_weights, vary_weights};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use crossburn_noise::{ChipSeed, Distribution, Variation};
use std::collections::BTreeSet;

#[derive(Module, Debug)]
struct Words {
    words: Embedding,
    fc1: Linear,
    fc2: Linear,
}

fn words() -> Words {
    let device = Device::flex();
    Words {
        words: EmbeddingConfig::new(5, 4).init(&device),
        fc1: LinearConfig::new(4, 8).init(&device),
        fc2: LinearConfig::new(8, 5).init(&device),
    }
}

fn bits(bits: u8) -> WeightBits {
    WeightBits::new(bits).unwrap()
}

fn values(weight: Tensor<2>) -> Vec<f32> {
    weight.into_data().try_to_vec().unwrap()
}

/// How many values there are, beside zero, on one side of it.
fn levels(weight: Tensor<2>) -> usize {
    let magnitudes = values(weight)
        .into_iter()
        .map(|value| value.abs().to_bits());
    let magnitudes: BTreeSet<u32> = magnitudes.filter(|bits| *bits != 0).collect();
    magnitudes.len()
}

#[test]
fn widths_go_by_path_and_the_last_that_matches_holds() {
    let plan = WeightPlan::from(bits(2))
        .with_bits(PathPattern::new("fc*"), Some(bits(3)))
        .with_bits(PathPattern::new("fc2.weight"), None);
    let network = words();
    let programmed = programmed(&network, &plan);
    // Three levels on either side of 3 bits at most, and as many values as weights in full precision.
    assert!((2..=3).contains(&levels(programmed.fc1.weight.val())));
    assert!(levels(programmed.fc2.weight.val()) > 30);
    assert_eq!(
        values(programmed.words.weight.val()),
        values(network.words.weight.val())
    );
    let attached = quantize_weights(network, &plan).unwrap();
    assert_eq!(
        values(attached.fc1.weight.val()),
        values(programmed.fc1.weight.val())
    );
}

#[test]
fn digital_weights_are_quantized_and_the_same_on_every_chip() {
    let plan = WeightPlan::from(bits(3)).with_placement(
        Placement::default()
            .digital([PathPattern::new("fc2.*")])
            .on_array([PathPattern::new("words.weight")]),
    );
    let (network, variation) = (words(), Variation::from(Distribution::gaussian(0.1)));
    let (clean, seed) = (programmed(&network, &plan), ChipSeed::new(3, 5));
    let chip = manufacture(&network, &plan, &variation, seed);
    assert!((2..=3).contains(&levels(clean.fc2.weight.val())));
    assert!((2..=3).contains(&levels(clean.words.weight.val())));
    assert_eq!(
        values(chip.fc2.weight.val()),
        values(clean.fc2.weight.val())
    );
    for (chip, clean) in [
        (chip.fc1.weight.val(), clean.fc1.weight.val()),
        (chip.words.weight.val(), clean.words.weight.val()),
    ] {
        assert_ne!(values(chip), values(clean));
    }
    let varied = vary_weights(network.clone(), &plan, &variation, seed).unwrap();
    for (varied, chip) in [
        (varied.fc1.weight.val(), chip.fc1.weight.val()),
        (varied.fc2.weight.val(), chip.fc2.weight.val()),
        (varied.words.weight.val(), chip.words.weight.val()),
    ] {
        assert_eq!(values(varied), values(chip));
    }
    // A chip's draw of one weight does not depend on where the others lie.
    let all = manufacture(&network, WeightPlan::from(bits(3)), &variation, seed);
    assert_eq!(values(all.fc1.weight.val()), values(chip.fc1.weight.val()));
    assert_ne!(values(all.fc2.weight.val()), values(chip.fc2.weight.val()));
}

#[test]
fn a_pattern_of_no_weight_is_refused() {
    let plan = WeightPlan::default().with_bits(PathPattern::new("fc3.*"), None);
    let error = plan.check(&words()).unwrap_err().to_string();
    assert!(
        error.contains("at `fc3.*`: use one of words.weight, fc1.weight"),
        "{error}"
    );
    assert_eq!(WeightPlan::default().check(&words()), Ok(()));
}

fn pruned(pattern: &str) -> Option<PruningPattern> {
    Some(pattern.parse().unwrap())
}

/// A pruned weight is zero as programmed and deviates on a chip like any other; the stored weights alone say which are pruned.
#[test]
fn pruned_weights_are_zero_and_deviate() {
    let plan = WeightPlan::from(bits(3))
        .with_pruning(PathPattern::new("fc*"), pruned("2:4"))
        .with_pruning(PathPattern::new("fc2.weight"), None);
    let network = words();
    let clean = programmed(&network, &plan);
    let zeros = |weight: Tensor<2>| values(weight).iter().filter(|w| **w == 0.0).count();
    assert!(zeros(clean.fc1.weight.val()) >= 16);
    assert_eq!(plan.remaining(&network)["fc1.weight"], (16, 32));
    let unpruned = programmed(&network, WeightPlan::from(bits(3)));
    assert_eq!(
        values(clean.fc2.weight.val()),
        values(unpruned.fc2.weight.val())
    );
    let stored = plan.prune(network.clone());
    assert_eq!(zeros(stored.fc1.weight.val()), 16);
    assert_eq!(
        values(programmed(&stored, &plan).fc1.weight.val()),
        values(clean.fc1.weight.val())
    );
    let (variation, seed) = (
        Variation::from(Distribution::gaussian(0.1)),
        ChipSeed::new(3, 5),
    );
    let chip = manufacture(&network, &plan, &variation, seed);
    assert_eq!(zeros(chip.fc1.weight.val()), 0);
    let quantized = values(clean.fc1.weight.val());
    let deviation = variation.draw(seed, "fc1.weight", &quantized, &[4, 8]);
    let sum: Vec<f32> = quantized
        .iter()
        .zip(&deviation)
        .map(|(w, d)| w + d)
        .collect();
    assert_eq!(values(chip.fc1.weight.val()), sum);
}

/// Of the first two outputs one weight of four is not zero, of the third none is.
#[test]
fn integers_of_stored_zeros_are_the_quantized_weights() {
    let mut network = words();
    network.fc1.weight = network.fc1.weight.map(|weight| {
        let mut stored = values(weight);
        for (index, value) in stored.iter_mut().enumerate() {
            if matches!((index / 8, index % 8), (0 | 1 | 3, 0 | 1) | (_, 2)) {
                *value = 0.0;
            }
        }
        Tensor::from_data(
            burn::tensor::TensorData::new(stored, [4, 8]),
            &Device::flex(),
        )
    });
    let path = "fc1.weight";
    for (width, of_rows) in [(1, [1, 1, 0, 2]), (4, [2; 4])] {
        let plan =
            WeightPlan::from(bits(width)).with_pruning(PathPattern::new(path), pruned("2:4"));
        let quantized = programmed(&network, &plan);
        let expected = values(quantized.fc1.weight.val());
        let on_host = |network| host_weights_at(network, &BTreeSet::from([path.to_string()]));
        for (network, on_levels) in [(&network, false), (&quantized, true)] {
            let weight = &on_host(network)[path];
            let found = plan.integers(path, weight, on_levels).unwrap();
            let kept = found.kept.iter();
            let kept = kept.map(|row| row.iter().filter(|kept| **kept).count());
            assert_eq!(kept.take(4).collect::<Vec<_>>(), of_rows);
            for (index, expected) in expected.iter().enumerate() {
                let (input, output) = (index / 8, index % 8);
                let level = found.levels[output][input];
                let weight = f32::from(level) * found.scales[output];
                assert!((weight - expected).abs() <= 1e-5 * expected.abs());
            }
        }
    }
}

#[test]
fn held_masks_outlive_the_weights_that_they_came_from() {
    let plan = WeightPlan::default().with_pruning(PathPattern::new("fc1.*"), pruned("1:4"));
    let network = words();
    let held = plan.clone().with_masks_of(&network);
    let mut other = network.clone();
    other.fc1.weight = other.fc1.weight.map(|weight| weight.powi_scalar(-1));
    let zeros = |plan: &WeightPlan, network: &Words| -> Vec<bool> {
        let weight = values(programmed(network, plan).fc1.weight.val());
        weight.iter().map(|w| *w == 0.0).collect()
    };
    assert_eq!(zeros(&held, &other), zeros(&plan, &network));
    assert_ne!(zeros(&plan, &other), zeros(&plan, &network));
    let denser = plan.at_density(0.75);
    assert_eq!(denser.remaining(&network)["fc1.weight"], (24, 32));
}

#[test]
fn learned_scales_are_those_of_the_plan_and_have_gradients() {
    let learned = Quantization {
        calibration: Calibration::Learned { rate: 0.01 },
        granularity: crossburn_noise::Granularity::PerChannel,
        ..Quantization::from(bits(2))
    };
    let plan =
        WeightPlan::default().with_quantization(PathPattern::new("fc1.weight"), Some(learned));
    assert_eq!(plan.scale_rate("fc1.weight"), Some(0.01));
    let network = words();
    let scales = plan.first_scales(&network);
    assert_eq!((scales.len(), scales["fc1.weight"].len()), (1, 8));
    // The smallest squared error on three levels: nothing above the largest weight, and above a third of it.
    let doubled: Vec<f32> = scales["fc1.weight"].iter().map(|s| 2.0 * s).collect();
    let plan = plan.with_scales(BTreeMap::from([(
        "fc1.weight".to_string(),
        doubled.clone(),
    )]));
    let programmed = programmed(&network, &plan);
    for (index, weight) in values(programmed.fc1.weight.val()).into_iter().enumerate() {
        let scale = doubled[index % 8];
        assert!([-scale, 0.0, scale].contains(&weight), "{weight} {scale}");
    }
    let attached = quantize_weights(network.train(), &plan).unwrap();
    let found = crate::weight_scales(&attached);
    let gradients = attached.fc1.weight.val().sum().backward();
    let by_scale = found["fc1.weight"].grad(&gradients).unwrap();
    assert_eq!(by_scale.dims(), [8]);
}
