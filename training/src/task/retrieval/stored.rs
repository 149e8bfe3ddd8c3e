//! Vectors as arrays hold them, in a training step.

use burn::tensor::{Tensor, TensorData};
use crossburn_hardware::{WeightBits, straight_through};
use crossburn_noise::{ChipSeed, Variation};

/// Name of the draws of a chip.
const PATH: &str = "search";
/// Keeps a row of zeros from becoming NaN.
const TINY: f64 = 1e-12;

/// The deviation of stored vectors, and the chip that draws it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StoredNoise {
    pub(super) variation: Variation,
    pub(super) chip: ChipSeed,
}

/// Stored vectors without and with their deviation.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) undeviated: Tensor<2>,
    pub(super) deviated: Tensor<2>,
}

/// `rows` as a chip holds them. All share one full scale s, the largest magnitude:
///
/// ```text
/// undeviated = s round(L rows / s) / L,   deviated = undeviated + s δ,   L = 2^(bits-1) - 1
/// ```
///
/// δ follows the law by which whole numbers of a store deviate. Gradients pass through the rounding and reach s: a smaller full scale makes the
/// deviation smaller, so a head learns to keep it small.
pub(super) fn stored(rows: Tensor<2>, bits: WeightBits, noise: Option<&StoredNoise>) -> Stored {
    let level = f64::from(bits.max_level());
    let full_scale = rows.clone().abs().max().clamp_min(TINY).reshape([1, 1]);
    let numbers = rows / full_scale.clone() * level;
    let codes = straight_through(numbers.clone(), numbers.round());
    let undeviated = codes.clone() * full_scale.clone() / level;
    let noise = noise.filter(|noise| noise.variation.sigma() != 0.0);
    let Some(StoredNoise { variation, chip }) = noise else {
        return Stored {
            deviated: undeviated.clone(),
            undeviated,
        };
    };
    let shape = codes.dims();
    let device = codes.device();
    let integers = codes.clone().detach().into_data().try_into_vec_as();
    let mut integers: Vec<f32> = integers.expect("stored numbers are floats");
    // The law is relative to the largest number that it is given: the full scale goes with them.
    integers.push(bits.max_level());
    let mut deviations = variation.draw(*chip, PATH, &integers, &[integers.len()]);
    deviations.truncate(integers.len() - 1);
    let deviations = Tensor::<2>::from_data(TensorData::new(deviations, shape), &device);
    Stored {
        undeviated,
        deviated: (codes + deviations) * full_scale / level,
    }
}
