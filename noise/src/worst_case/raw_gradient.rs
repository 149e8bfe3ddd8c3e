//! Steps along the gradient itself.

use serde::{Deserialize, Serialize};

use super::momentum::mean_magnitude;
use super::state::bits;
use super::{DeviationBounds, Deviations};

/// Descends along the gradient itself, not its sign. The moving deviation is never clipped; its clipped copy is judged:
///
/// ```text
/// u <- u - rate h g / mean|g|,      d = clip(u),      h: half of the width of the box
/// ```
///
/// An entry with a small gradient hardly moves, so entries also settle inside the box, not only at its ends.
///
/// # Source
/// Yang et al., "Rethinking PGD attack: is sign function necessary?" (arXiv 2312.01260), on weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawGradient {
    /// Steps.
    pub steps: usize,
    /// Mean step of the entries of a weight, in half widths of the box.
    pub rate: f64,
}

impl Default for RawGradient {
    fn default() -> Self {
        Self {
            steps: 60,
            rate: 0.2,
        }
    }
}

/// The memory of the search between two evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hidden {
    #[serde(with = "bits")]
    unclipped: Deviations,
}

impl Hidden {
    /// Begins at `start`.
    pub(super) fn new(start: &Deviations) -> Self {
        Self {
            unclipped: start.clone(),
        }
    }

    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        bounds.fit(&self.unclipped)
    }

    /// Moves `current`.
    pub(super) fn step(
        &mut self,
        search: &RawGradient,
        bounds: &DeviationBounds,
        current: &mut Deviations,
        gradient: &Deviations,
    ) {
        for (path, deviation) in current {
            let (entries, gradient) = (&bounds.weights()[path], &gradient[path]);
            let rate = search.rate as f32 / mean_magnitude(gradient);
            let hidden = self.unclipped.get_mut(path).into_iter().flatten();
            let values = deviation.iter_mut().zip(hidden).zip(gradient);
            for (index, ((d, hidden), g)) in values.enumerate() {
                *hidden -= rate * entries.half_width(index) * g;
                *d = hidden.clamp(entries.low[index], entries.high[index]);
            }
        }
    }
}
