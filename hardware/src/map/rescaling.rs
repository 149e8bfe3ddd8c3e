//! Factors that move the range of an input channel into its weights.

use super::WeightMatrix;

/// One factor `s_j` for each input channel of a layer: cells hold `w_ij s_j`, and converters meet `x_j / s_j`, so that the products
/// are the same while a channel with large inputs no longer sets the full scale of all others.
///
/// ```text
/// s_j = max|x_j|^a / max|w_j|^(1 - a)
/// ```
///
/// with the largest input of the channel on calibration data and its largest weight. A channel of which either is zero has the geometric
/// mean of the others' factors.
///
/// # Source
/// NORA (Hou et al., DATE 2025); the factors are those of Xiao et al., "SmoothQuant", ICML 2023, equation 4.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rescaling {
    /// Channel by channel, those of a group after the other.
    factors: Vec<f32>,
    groups: usize,
}

impl Rescaling {
    /// The factors with the exponent `a`, of channels whose inputs have the magnitudes `largest` at most. `weights` has a matrix for each
    /// group.
    pub(crate) fn new(a: f64, largest: &[f32], weights: &[WeightMatrix]) -> Self {
        let groups = weights.len().max(1);
        let of_group = largest.len() / groups;
        let channels = weights.iter().flat_map(|matrix| {
            let mut most = vec![0.0f32; of_group];
            let taps = (matrix.inputs / of_group.max(1)).max(1);
            for row in matrix.values.chunks_exact(matrix.inputs.max(1)) {
                for (most, weights) in most.iter_mut().zip(row.chunks(taps)) {
                    *most = weights.iter().fold(*most, |most, w| most.max(w.abs()));
                }
            }
            most
        });
        let logarithm = |(x, w): (&f32, f32)| {
            let factor = a * f64::from(*x).ln() - (1.0 - a) * f64::from(w).ln();
            (*x > 0.0 && w > 0.0).then_some(factor)
        };
        let known: Vec<Option<f64>> = largest.iter().zip(channels).map(logarithm).collect();
        let count = known.iter().flatten().count().max(1) as f64;
        let mean = known.iter().flatten().sum::<f64>() / count;
        // Products of factors with weights, and their reciprocals, are 32-bit numbers.
        let factor = |known: Option<f64>| (known.unwrap_or(mean) - mean).clamp(-40.0, 40.0);
        Self {
            factors: known
                .into_iter()
                .map(|known| factor(known).exp() as f32)
                .collect(),
            groups,
        }
    }

    /// Multiplies the columns of `weights`, one matrix for each group, with the factors of their channels.
    pub(crate) fn fold_into(&self, weights: &mut [WeightMatrix]) {
        for (group, matrix) in weights.iter_mut().enumerate() {
            self.columns(group, matrix.inputs, &mut matrix.values, |w, s| w * s);
        }
    }

    /// Divides the columns of `values`, the rows of outputs of `group`, by the factors of their channels.
    pub(crate) fn take_out_of(&self, group: usize, inputs: usize, values: &mut [f32]) {
        self.columns(group, inputs, values, |w, s| w / s);
    }

    fn columns(&self, group: usize, inputs: usize, values: &mut [f32], of: fn(f32, f32) -> f32) {
        let of_group = self.factors.len() / self.groups;
        let factors = &self.factors[group * of_group..(group + 1) * of_group];
        let taps = (inputs / of_group.max(1)).max(1);
        for row in values.chunks_exact_mut(inputs.max(1)) {
            for (weights, factor) in row.chunks_mut(taps).zip(factors) {
                weights.iter_mut().for_each(|w| *w = of(*w, *factor));
            }
        }
    }

    /// The inputs `x`, `[batch, channels, ..]` in row-major order, as converters meet them.
    pub(crate) fn of_inputs(&self, x: &[f32], batch: usize) -> Vec<f32> {
        let volume = (x.len() / (batch * self.factors.len()).max(1)).max(1);
        let factors = self.factors.iter().cycle();
        let planes = x.chunks(volume).zip(factors);
        planes
            .flat_map(|(plane, factor)| plane.iter().map(move |x| x / factor))
            .collect()
    }

    /// The factors by channel.
    pub(crate) fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// The largest magnitude that converters meet, of channels whose inputs have the magnitudes `largest` at most.
    pub(crate) fn largest_input(&self, largest: &[f32]) -> f32 {
        let met = largest.iter().zip(&self.factors).map(|(x, s)| x / s);
        met.fold(0.0, f32::max)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_worked_by_hand() {
        // Largest inputs 16 and 1, largest weights 1/4 and 1: with a = 1/2 the factors are 4 / (1/2) = 8 and 1.
        let weights = WeightMatrix::new(2, 2, vec![0.25, 0.5, -0.125, -1.0]).unwrap();
        let rescaling = Rescaling::new(0.5, &[16.0, 1.0], std::slice::from_ref(&weights));
        // All factors over their geometric mean √8: the full scale of converters and of cells takes what is common.
        let common = 8.0f32.sqrt();
        for (found, expected) in rescaling.factors().iter().zip([8.0, 1.0]) {
            assert!((found * common - expected).abs() < 1e-5 * expected);
        }
        let mut folded = [weights.clone()];
        rescaling.fold_into(&mut folded);
        let ratio = folded[0].values[0] / folded[0].values[3];
        assert!((ratio + 2.0).abs() < 1e-5, "{ratio}");
        rescaling.take_out_of(0, 2, &mut folded[0].values);
        for (found, expected) in folded[0].values.iter().zip(&weights.values) {
            assert!((found / expected - 1.0).abs() < 1e-6);
        }
        let met = rescaling.of_inputs(&[16.0, 1.0, -8.0, 0.5], 2);
        assert!((met[0] / met[1] - 2.0).abs() < 1e-5 && (met[2] / met[3] + 2.0).abs() < 1e-5);
        assert_eq!(rescaling.largest_input(&[16.0, 1.0]), met[0]);
        // With a = 0 weights alone decide, with a = 1 inputs alone.
        let weights_alone = Rescaling::new(0.0, &[16.0, 1.0], std::slice::from_ref(&weights));
        let inputs_alone = Rescaling::new(1.0, &[16.0, 1.0], &[weights]);
        for (rescaling, ratio) in [(weights_alone, 4.0), (inputs_alone, 16.0)] {
            let [first, second] = rescaling.factors() else {
                panic!("two channels")
            };
            assert!((first / second / ratio - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn channels_of_groups_have_their_taps_and_zeros_are_neutral() {
        // Two groups of one output, two channels and two taps; the second channel of each never has an input or a weight.
        let group = |values: [f32; 4]| WeightMatrix::new(1, 4, values.to_vec()).unwrap();
        let weights = [group([1.0, -4.0, 2.0, 2.0]), group([0.25, 0.0, 0.0, 0.0])];
        let rescaling = Rescaling::new(0.5, &[1.0, 0.0, 4.0, 3.0], &weights);
        // √(1/4) and √(4/0.25), with the mean √(1/2 · 4) = √2.
        let expected = [0.5, 2.0f32.sqrt(), 4.0, 2.0f32.sqrt()];
        for (found, expected) in rescaling.factors().iter().zip(expected) {
            let expected = expected / 2.0f32.sqrt();
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
        }
        let mut folded = weights.clone();
        rescaling.fold_into(&mut folded);
        let s = rescaling.factors();
        assert_eq!(
            folded[0].values,
            [s[0], -4.0 * s[0], 2.0 * s[1], 2.0 * s[1]]
        );
        assert_eq!(folded[1].values, [0.25 * s[2], 0.0, 0.0, 0.0]);
        // Two images of four channels with two pixels.
        let x: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let met = rescaling.of_inputs(&x, 2);
        assert_eq!((met[2], met[15]), (2.0 / s[1], 15.0 / s[3]));
        // Nothing at all is no reason to rescale.
        let none = Rescaling::new(0.5, &[0.0; 4], &weights);
        assert_eq!(none.factors(), [1.0; 4]);
    }
}
