//! Scales that training learns: full scales of the inputs of layers, distances of the levels of weights.

use serde::{Deserialize, Serialize};

/// The full scale of a layer's inputs, or the distance of two levels of a weight, as training steps move it: Adam on its logarithm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnedScale {
    /// The scale, in the units of the network.
    pub value: f32,
    /// Running mean of the gradient, and of its square.
    mean: f64,
    square: f64,
    steps: u32,
}

/// How fast the running means forget (Kingma and Ba, ICLR 2015).
const FORGET: [f64; 2] = [0.9, 0.999];

impl LearnedScale {
    /// A learned scale that has not moved yet.
    pub fn new(value: f32) -> Self {
        Self {
            value,
            mean: 0.0,
            square: 0.0,
            steps: 0,
        }
    }

    /// One step down the gradient of a loss by the logarithm of the learned scale, of `rate` parts of itself at most. A
    /// gradient that is no finite number moves nothing.
    pub fn step(&mut self, gradient: f64, rate: f64) {
        if !gradient.is_finite() {
            return;
        }
        self.steps += 1;
        self.mean += (1.0 - FORGET[0]) * (gradient - self.mean);
        self.square += (1.0 - FORGET[1]) * (gradient * gradient - self.square);
        let [mean, square] = [(self.mean, FORGET[0]), (self.square, FORGET[1])]
            .map(|(sum, forget)| sum / (1.0 - forget.powi(self.steps as i32)));
        if square > 0.0 {
            let factor = (-rate * (mean / square.sqrt()).clamp(-1.0, 1.0)).exp();
            // A value that is no scale any more is refused by the next chip.
            self.value = (f64::from(self.value) * factor) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_moves_against_its_gradient_by_the_rate() {
        let mut scale = LearnedScale::new(2.0);
        scale.step(5.0, 0.01);
        assert!((scale.value - 2.0 * (-0.01f32).exp()).abs() < 1e-6);
        let mut scale = LearnedScale::new(2.0);
        scale.step(-1e-9, 0.01);
        assert!((scale.value - 2.0 * 0.01f32.exp()).abs() < 1e-6);
        for nothing in [0.0, f64::NAN, f64::INFINITY] {
            let mut scale = LearnedScale::new(2.0);
            scale.step(nothing, 0.01);
            assert_eq!(scale.value, 2.0);
        }
    }

    /// (ln s - ln 3)² has its minimum at 3.
    #[test]
    fn steps_find_a_minimum() {
        let mut scale = LearnedScale::new(40.0);
        for _ in 0..2000 {
            scale.step(2.0 * f64::from(scale.value / 3.0).ln(), 0.01);
        }
        assert!((scale.value - 3.0).abs() < 0.05, "{}", scale.value);
    }
}
