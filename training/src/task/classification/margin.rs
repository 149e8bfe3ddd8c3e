//! The margin loss of worst-case searches.

use burn::tensor::{Int, Tensor};

/// By how much the right class leads, summed over images and not counted below `-kappa`:
///
/// ```text
/// F = Σ_x max( z_y(x) - max_{j ≠ y} z_j(x), -kappa )
/// ```
///
/// A search that minimizes F pushes images that are still right and leaves those alone that are wrong by `kappa`, where the
/// cross-entropy would keep pushing them: their gradient is zero.
///
/// # Shapes
/// `logits` `[batch, classes]` with two classes or more, `targets` `[batch]` with the right classes; gives `[1]`.
///
/// # Source
/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626), surrogate of the worst-case search, there with kappa = 0; the loss is
/// that of Carlini and Wagner, "Towards evaluating the robustness of neural networks", S&P 2017, f6 of section V.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use crossburn_training::margin_loss;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::from_floats([[3.0, 1.0, 0.0], [0.0, 5.0, 1.0]], &device);
/// let targets = Tensor::<1, Int>::from_ints([0, 2], &device);
/// // The first image leads by 2, the second is wrong: it counts -kappa.
/// assert_eq!(margin_loss(logits, targets, 0.5).into_scalar::<f32>(), 1.5);
/// ```
pub fn margin_loss(logits: Tensor<2>, targets: Tensor<1, Int>, kappa: f64) -> Tensor<1> {
    let [_, classes] = logits.dims();
    let targets = targets.unsqueeze_dim::<2>(1);
    let right = logits.clone().gather(1, targets.clone());
    let columns = Tensor::<1, Int>::arange(0..classes as i64, &targets.device()).unsqueeze::<2>();
    let others = logits.mask_fill(columns.equal(targets), f32::NEG_INFINITY);
    (right - others.max_dim(1)).clamp_min(-kappa).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use crossburn_noise::Philox;

    fn loss(
        values: &[f32],
        targets: &[i64],
        kappa: f64,
        device: &Device,
    ) -> (Tensor<2>, Tensor<1>) {
        let shape = [targets.len(), values.len() / targets.len()];
        let logits = Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), device);
        let logits = match device.is_autodiff() {
            true => logits.require_grad(),
            false => logits,
        };
        let targets =
            Tensor::<1, Int>::from_data(TensorData::new(targets.to_vec(), [targets.len()]), device);
        (logits.clone(), margin_loss(logits, targets, kappa))
    }

    #[test]
    fn the_loss_is_the_sum_of_leads_down_to_kappa() {
        let device = Device::flex();
        for (values, target, kappa, expected) in [
            ([2.0, 0.5, -1.0], 0, 0.0, 1.5),
            ([2.0, 0.5, -1.0], 1, 0.0, 0.0),
            ([2.0, 0.5, -1.0], 1, 1.0, -1.0),
            ([2.0, 0.5, -1.0], 1, 9.0, -1.5),
            ([2.0, 0.5, -1.0], 2, 9.0, -3.0),
            ([2.0, 2.0, -1.0], 0, 0.0, 0.0),
        ] {
            let found = loss(&values, &[target], kappa, &device).1;
            assert_eq!(
                found.into_scalar::<f32>(),
                expected,
                "{values:?} {target} {kappa}"
            );
        }
        let found = loss(&[1.0, 0.0, 0.0, 3.0], &[0, 1], 0.0, &device).1;
        assert_eq!(found.into_scalar::<f32>(), 4.0);
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let device = Device::flex();
        let targets = [3i64, 0, 4, 2, 1, 2, 0, 1];
        let mut values = vec![0.0f32; 8 * 5];
        Philox::new(5, 1).fill_normal(&mut values);
        let kappa = 0.3;
        let (logits, value) = loss(&values, &targets, kappa, &device.clone().autodiff());
        let gradients = value.backward();
        let found: Vec<f32> = logits
            .grad(&gradients)
            .unwrap()
            .into_data()
            .try_to_vec()
            .unwrap();
        let at = |index: usize, by: f32| {
            let mut moved = values.clone();
            moved[index] += by;
            f64::from(
                loss(&moved, &targets, kappa, &device)
                    .1
                    .into_scalar::<f32>(),
            )
        };
        // The loss is linear within a step of this size: no two largest logits and no lead at -kappa are that close.
        let step = 1.0 / 128.0;
        for (index, found) in found.iter().enumerate() {
            let expected = (at(index, step) - at(index, -step)) / f64::from(2.0 * step);
            // The sum of eight leads is rounded to 2^-21 or so, the difference is divided by 2^-6.
            assert!(
                (f64::from(*found) - expected).abs() < 1e-3,
                "{index} {found} {expected}"
            );
        }
        // Some images are right, some wrong by more than kappa: the test sees both sides.
        let moved = found
            .chunks(5)
            .filter(|row| row.iter().any(|g| *g != 0.0))
            .count();
        assert!(moved > 0 && moved < 8, "{moved}");
    }
}
