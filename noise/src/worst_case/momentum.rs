//! Steps against the sign of a mean of gradients.

use serde::{Deserialize, Serialize};

use super::state::bits;
use super::{DeviationBounds, Deviations};

/// The gradient of every weight is divided by its mean magnitude and added to a decaying sum; every entry moves by a fixed
/// step against the sign of that sum:
///
/// ```text
/// v <- decay v + g / mean|g|,      d <- clip(d - step h sign(v)),      h: half of the width of the box
/// ```
///
/// # Source
/// Dong et al., "Boosting adversarial attacks with momentum", CVPR 2018 (arXiv 1710.06081), equations 6 and 7, on weights. The
/// decay and the step are those with which it was the strongest search on a network without noise training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Momentum {
    /// Steps.
    pub steps: usize,
    /// The factor of the sum after one step.
    pub decay: f64,
    /// Step, in half widths of the box.
    pub step: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self {
            steps: 60,
            decay: 0.75,
            step: 2.0 / 15.0,
        }
    }
}

/// What the search remembers between two evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Velocity {
    #[serde(with = "bits")]
    sum: Deviations,
}

impl Velocity {
    pub(super) fn new(bounds: &DeviationBounds) -> Self {
        Self { sum: bounds.zero() }
    }

    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        bounds.fit(&self.sum)
    }

    /// Moves `current`.
    pub(super) fn step(
        &mut self,
        search: &Momentum,
        bounds: &DeviationBounds,
        current: &mut Deviations,
        gradient: &Deviations,
    ) {
        let (decay, step) = (search.decay as f32, search.step as f32);
        for (path, deviation) in current {
            let (entries, gradient) = (&bounds.weights()[path], &gradient[path]);
            let scale = 1.0 / mean_magnitude(gradient);
            let sums = self.sum.get_mut(path).into_iter().flatten();
            let values = deviation.iter_mut().zip(sums).zip(gradient);
            for (index, ((d, sum), g)) in values.enumerate() {
                *sum = decay * *sum + g * scale;
                let end = *d - step * entries.half_width(index) * sign(*sum);
                *d = end.clamp(entries.low[index], entries.high[index]);
            }
        }
    }
}

/// Mean of the magnitudes of `gradient`; always positive, because it is a divisor.
pub(super) fn mean_magnitude(gradient: &[f32]) -> f32 {
    let sum: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
    let mean = sum / gradient.len().max(1) as f64;
    (mean as f32).max(f32::MIN_POSITIVE)
}

/// -1, 0 or 1.
pub(super) fn sign(value: f32) -> f32 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}
