//! Programmed weights on the host, where adversaries choose deviations.

use std::collections::BTreeMap;

use burn::module::Module;
use crossburn_hardware::{self as hardware, WeightPlan};
use crossburn_noise::{HostWeight, host_weights_at};

/// The weights of `network` on arrays as they are programmed without variation, by path.
pub(super) fn programmed<M: Module>(
    network: &M,
    weights: &WeightPlan,
) -> BTreeMap<String, HostWeight> {
    let programmed = hardware::programmed(network, weights);
    host_weights_at(&programmed, &weights.placement().on_arrays(network))
}

/// The Euclidean norm, added up in order.
pub(super) fn norm(values: &[f32]) -> f64 {
    let squares = values.iter().map(|v| f64::from(*v) * f64::from(*v));
    squares.sum::<f64>().sqrt()
}

/// `size` by the sign of each gradient; 0 where that is 0.
pub(super) fn sign_step(gradient: &[f32], size: f32) -> Vec<f32> {
    let step = |g: &f32| match *g {
        g if g > 0.0 => size,
        g if g < 0.0 => -size,
        _ => 0.0,
    };
    gradient.iter().map(step).collect()
}
