//! Clips weights to a multiple of their spread while a network learns.

use std::collections::BTreeSet;

use burn::module::Module;
use crossburn_noise::{WeightShape, change_host_weights};

/// `network` with every weight of `selected` clipped, output channel by output channel, to `deviations` times the standard deviation
/// of the channel:
///
/// ```text
/// w_ij <- clamp(w_ij, -α s_i, α s_i),   s_i = sqrt(mean_j (w_ij - mean_j w_ij)²)
/// ```
///
/// Arrays that scale every output by its largest weight scale its noise by that too: an output without a few large weights has less noise on
/// all others.
///
/// # Source
/// Büchel et al., "Analog foundation models", NeurIPS 2025 (arXiv 2505.09663): after every step, α = 2.5.
pub(crate) fn clip_weights<M: Module>(
    network: M,
    selected: &BTreeSet<String>,
    deviations: f64,
) -> M {
    change_host_weights(network, selected, |values, shape| {
        clip(values, shape, deviations);
    })
}

/// Clips the values of one weight.
fn clip(values: &mut [f32], shape: &WeightShape, deviations: f64) {
    let channels = shape.outputs();
    let count = channels.count();
    let (mut sums, mut squares, mut sizes) =
        (vec![0.0f64; count], vec![0.0f64; count], vec![0u64; count]);
    for (index, value) in values.iter().enumerate() {
        let channel = channels.of(index);
        sums[channel] += f64::from(*value);
        sizes[channel] += 1;
    }
    let means: Vec<f64> = sums
        .iter()
        .zip(&sizes)
        .map(|(sum, size)| sum / (*size).max(1) as f64)
        .collect();
    for (index, value) in values.iter().enumerate() {
        let channel = channels.of(index);
        squares[channel] += (f64::from(*value) - means[channel]).powi(2);
    }
    let bounds: Vec<f32> = squares
        .iter()
        .zip(&sizes)
        .map(|(square, size)| match *square {
            0.0 => f32::INFINITY,
            square => (deviations * (square / *size as f64).sqrt()) as f32,
        })
        .collect();
    for (index, value) in values.iter_mut().enumerate() {
        let bound = bounds[channels.of(index)];
        // A channel with a value that is no number has no bound, and stays for the loss of the next step to tell. Nor has one
        // whose weights do not spread, such as that of a single input.
        if value.abs() > bound {
            *value = bound.copysign(*value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::conv::{ConvTranspose1d, ConvTranspose1dConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_noise::matrix_weights;

    #[derive(Module, Debug)]
    struct Two {
        fc: Linear,
        up: ConvTranspose1d,
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn every_output_channel_has_its_own_bound() {
        let device = Device::flex().autodiff();
        let mut two = Two {
            fc: LinearConfig::new(4, 2).with_bias(false).init(&device),
            up: ConvTranspose1dConfig::new([2, 2], 1).init(&device),
        };
        // [inputs, outputs]: the first output has 3, -1, -1, -1 (mean 0, deviation √3), the second 10, 0, 0, 0 (2.5, √18.75).
        let fc = [[3.0f32, 10.0], [-1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]];
        // [inputs, outputs, taps]: 5, 1 for the first output (mean 3, deviation 2), 7, 7 for the second (7, 0).
        let up = [[[5.0f32], [7.0]], [[1.0], [7.0]]];
        two.fc.weight = two
            .fc
            .weight
            .map(|_| Tensor::<2>::from_floats(fc, &device).require_grad());
        two.up.weight = two
            .up
            .weight
            .map(|_| Tensor::<3>::from_floats(up, &device).require_grad());
        let id = two.fc.weight.id;
        let selected = matrix_weights(&two);
        let clipped = clip_weights(two.clone(), &selected, 1.5);
        let (first, second) = (1.5 * 3.0f32.sqrt(), 1.5 * 18.75f32.sqrt());
        let expected = [first, second, -1.0, 0.0, -1.0, 0.0, -1.0, 0.0];
        let found = values(clipped.fc.weight.val());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert_eq!(values(clipped.up.weight.val()), [3.0, 7.0, 1.0, 7.0]);
        // It is the same parameter, and learns.
        assert_eq!(clipped.fc.weight.id, id);
        let loss = clipped.fc.weight.val().sum();
        let gradient = clipped.fc.weight.grad(&loss.backward()).unwrap();
        assert_eq!(values(gradient), [1.0; 8]);

        let only: BTreeSet<String> = ["up.weight".to_string()].into();
        let clipped = clip_weights(two.clone(), &only, 1.5);
        assert_eq!(values(clipped.fc.weight.val()), values(two.fc.weight.val()));
        let mut broken = [f32::NAN, 1.0, f32::INFINITY, 1.0, 2.0, 100.0];
        clip(&mut broken, &WeightShape::from(&[2, 3]), 0.5);
        assert!(broken[0].is_nan() && broken[2] == f32::INFINITY && broken[5] == 100.0);
        let mut single = [0.5, -2.0];
        clip(&mut single, &WeightShape::from(&[1, 2]), 0.5);
        assert_eq!(single, [0.5, -2.0]);
        // No channel goes beyond a hundred deviations.
        let clipped = clip_weights(two, &selected, 100.0);
        assert_eq!(values(clipped.up.weight.val()), [5.0, 7.0, 1.0, 7.0]);
    }
}
