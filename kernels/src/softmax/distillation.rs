//! How much the probabilities of one network differ from those of another.

use burn::tensor::Tensor;

use super::{log_softmax, softmax};

/// `τ² · mean over rows of KL(softmax(teacher / τ) || softmax(logits / τ))`, with its gradient by `logits`. The teacher's logits get no gradient.
///
/// # Shapes
/// Both `[rows, outputs]`, to `[1]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let teacher = Tensor::<2>::from_floats([[0.0, 0.0]], &device);
/// // The student finds both equally likely as well, at other logits.
/// let student = Tensor::<2>::from_floats([[3.0, 3.0]], &device.autodiff());
/// let loss = crossburn_kernels::distillation_loss(student, teacher, 1.0);
/// assert!(loss.into_scalar::<f32>().abs() < 1e-6);
/// ```
pub fn distillation_loss(logits: Tensor<2>, teacher: Tensor<2>, temperature: f64) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let teacher = teacher / temperature;
    let likely = Tensor::<2>::from_inner(softmax(teacher.clone()));
    let own = Tensor::<2>::from_inner(log_softmax(teacher));
    let apart = own - log_softmax(logits / temperature);
    (likely * apart).sum() * (temperature * temperature / rows.max(1) as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn probabilities(logits: &[f64], temperature: f64) -> Vec<f64> {
        let powers: Vec<f64> = logits.iter().map(|z| (z / temperature).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| power / sum).collect()
    }

    #[test]
    fn value_and_gradient_are_those_of_the_formula() {
        let device = Device::flex();
        let (student, teacher) = (
            [[0.5, -1.0, 2.0], [0.0, 3.0, 1.0]],
            [[1.0, 0.0, -2.0], [0.25, 2.5, 1.0]],
        );
        for temperature in [1.0, 2.5] {
            let logits = Tensor::<2>::from_floats(student, &device.clone().autodiff());
            let logits = logits.require_grad();
            let loss = distillation_loss(
                logits.clone(),
                Tensor::from_floats(teacher, &device),
                temperature,
            );
            let gradients = loss.backward();
            let found: Vec<f32> = logits
                .grad(&gradients)
                .unwrap()
                .into_data()
                .try_to_vec()
                .unwrap();
            let (mut sum, mut expected) = (0.0, Vec::new());
            for (student, teacher) in student.iter().zip(&teacher) {
                let own = probabilities(&student.map(f64::from), temperature);
                let likely = probabilities(&teacher.map(f64::from), temperature);
                for (p, q) in likely.iter().zip(&own) {
                    sum += p * (p / q).ln();
                    // d/dz τ² KL / 2 rows.
                    expected.push(temperature * (q - p) / 2.0);
                }
            }
            let value = f64::from(loss.into_scalar::<f32>());
            let closed = temperature * temperature * sum / 2.0;
            assert!((value - closed).abs() < 1e-6, "{value} {closed}");
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-6);
            }
        }
        // A network does not differ from itself.
        let same = || Tensor::<2>::from_floats(student, &device);
        let loss = distillation_loss(Tensor::from_inner(same()), same(), 1.0);
        assert!(loss.into_scalar::<f32>().abs() < 1e-7);
    }
}
