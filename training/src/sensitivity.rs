//! How sensitive the loss is to every weight.

use std::collections::BTreeMap;

use burn::tensor::Device;
use crossburn_models::Network;
use crossburn_noise::{Philox, matrix_weights, over_cores, path_hash};

use crate::TrainingError;
use crate::task::{Learn, SAMPLED, not_offered};
use crate::weight_gradients::{tracked, weight_gradients};

/// Sums that are kept at a time: parts of the items, whatever the number of threads.
const PARTS: usize = 8;

/// The diagonal second derivative of the loss by every matrix weight of `network`, by path, in Burn's layout.
///
/// ```text
/// h_w = E_x E_{y ~ p(· | x)} (∂ log p(y | x) / ∂w)²
/// ```
///
/// is the diagonal of the Fisher information, which for the cross-entropy of a softmax is that of the generalised
/// Gauss-Newton matrix: the second derivative without the curvature of the network itself, never negative, and exact where
/// the logits are linear in the weight. Every item is an unbiased sample: one target is drawn from what the
/// network itself says, for item `i` with draw `i` of a stream of `seed`, and the gradient of its loss is squared. The targets
/// of the set are not used.
///
/// The network computes as in evaluation (dropout, norms and ranges of activations rest), with its quantizers where some are
/// attached: gradients pass straight through them. Items go one by one over the threads of the current pool; sums are
/// added in a fixed order.
///
/// # Source
/// The quantity that ranks weights in Yan, Hu and Shi, "SWIM: selective write-verify for computing-in-memory neural
/// accelerators", DAC 2022 (arXiv 2202.08395). SWIM passes second derivatives back layer by layer, one extra backward pass
/// for a whole batch, with a rule for every kind of layer that leaves out the terms off the diagonal. This costs one
/// backward pass per item, is unbiased, and holds for any module. That both matrices are one, and that labels of the data
/// would give another: Martens, "New insights and perspectives on the natural gradient method", JMLR 2020.
///
/// # Errors
/// [`TrainingError::Setting`] without items, [`TrainingError::NotOffered`] of a task without probabilities, those of
/// [`Learn::sampled_loss`], [`TrainingError::Device`] when the device cannot give a result back.
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::LeNetConfig;
/// use crossburn_training::data::digits;
/// use crossburn_training::{Classification, sensitivities};
///
/// let device = Device::flex();
/// let network = LeNetConfig::default().init(&device);
/// let found = sensitivities(&network, &Classification::new(digits(1, 0, 4)), &device, 7)?;
/// assert_eq!(found["fc3.weight"].len(), 84 * 10);
/// assert!(found["fc3.weight"].iter().all(|h| *h >= 0.0));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
pub fn sensitivities<N: Network, T: Learn<N>>(
    network: &N,
    task: &T,
    device: &Device,
    seed: u64,
) -> Result<BTreeMap<String, Vec<f32>>, TrainingError> {
    if !T::SAMPLES {
        return Err(not_offered("a sensitivity", SAMPLED, &task.metric()));
    }
    if task.items() == 0 {
        return Err(TrainingError::setting("items", 0, "at least one item"));
    }
    let selected = matrix_weights(network);
    let draws = Philox::new(seed ^ path_hash("labels of sensitivities"), 0);
    let frozen = tracked(network, &selected);
    let device = device.clone().without_autodiff().autodiff();
    let items: Vec<usize> = (0..task.items()).collect();
    let parts: Vec<_> = items.chunks(items.len().div_ceil(PARTS)).collect();
    let parts = over_cores(0..parts.len() as u64, &|part| {
        let network = frozen.clone().train();
        let mut sums = Sums::default();
        for &item in parts[part as usize] {
            let batch = task.batch(&[item], &device)?;
            let draw = draws.uniform(item as u64);
            let loss = task.sampled_loss(task.forward(&network, &batch), draw);
            let gradients = loss.map_err(|error| error.at_item(item))?.backward();
            weight_gradients(&network, gradients, |path, values| {
                let squares = values.into_iter().map(|g| f64::from(g) * f64::from(g));
                add(&mut sums, path, squares);
            })?;
        }
        Ok::<_, TrainingError>(sums)
    })?;
    let mut total = Sums::default();
    for part in parts {
        for (path, values) in part {
            add(&mut total, path, values.into_iter());
        }
    }
    let mean = |sum: f64| (sum / items.len() as f64) as f32;
    Ok(total
        .into_iter()
        .map(|(path, sums)| (path, sums.into_iter().map(mean).collect()))
        .collect())
}

/// Sums of squared gradients by path.
type Sums = BTreeMap<String, Vec<f64>>;

fn add(sums: &mut Sums, path: String, values: impl ExactSizeIterator<Item = f64>) {
    let own = sums.entry(path).or_insert_with(|| vec![0.0; values.len()]);
    for (sum, value) in own.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::{Normalization, Samples, Values, digits};
    use crate::testing::classes;
    use crate::weight_gradients::values;
    use burn::module::Module;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
    use burn::tensor::Device;
    use burn::tensor::Tensor;
    use crossburn_models::{Classifier, LeNetConfig, initialize};

    #[derive(Module, Debug)]
    struct Softmax {
        fc: Linear,
    }

    impl Network for Softmax {}

    impl Classifier for Softmax {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            self.fc.forward(images.flatten::<2>(1, 3))
        }
    }

    /// Images of `[1, 1, 3]` with pixels of some size.
    fn lines(count: usize) -> Samples {
        let draws = Philox::new(11, 0);
        Samples {
            shape: [1, 1, 3],
            values: Values::Bytes(
                (0..3 * count as u64)
                    .map(|i| draws.below(i, 256) as u8)
                    .collect(),
            ),
            labels: vec![0; count],
            classes: 4,
            class_names: Vec::new(),
            normalization: Normalization {
                mean: vec![0.5],
                std: vec![0.25],
            },
            origins: None,
            masks: None,
        }
    }

    #[test]
    fn a_linear_softmax_has_the_diagonal_of_its_closed_form() {
        let device = Device::flex();
        let network = Softmax {
            fc: initialize(LinearConfig::new(3, 4).init(&device), 5),
        };
        let count = 4000;
        let set = lines(count);
        let found = sensitivities(&network, &classes(&set), &device, 9).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["fc.weight"]);
        let indices: Vec<usize> = (0..count).collect();
        let x = values(set.inputs(&indices, &device)).unwrap();
        let logits = values(network.forward(set.inputs(&indices, &device))).unwrap();
        for class in 0..4 {
            for input in 0..3 {
                // The gradient is ([y = c] - p_c) x_i: its square has the mean p_c (1 - p_c) x_i² given the image, and the
                // variance p_c (1 - p_c) (1 - 2 p_c)² x_i⁴.
                let (mut mean, mut variance) = (0.0, 0.0);
                for (x, logits) in x.chunks(3).zip(logits.chunks(4)) {
                    let sum: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
                    let p = f64::from(logits[class]).exp() / sum;
                    let square = f64::from(x[input]).powi(2);
                    mean += p * (1.0 - p) * square;
                    variance += p * (1.0 - p) * ((1.0 - 2.0 * p) * square).powi(2);
                }
                let n = count as f64;
                let (mean, error) = (mean / n, variance.sqrt() / n);
                let found = f64::from(found["fc.weight"][input * 4 + class]);
                // Four standard errors of the drawn labels, for each of twelve weights.
                assert!((found - mean).abs() < 4.0 * error, "{found} {mean} {error}");
                assert!(error < 0.05 * mean);
            }
        }
    }

    #[test]
    fn threads_change_nothing_and_seeds_do() {
        let device = Device::flex();
        let network = initialize(LeNetConfig::default().init(&device), 3);
        let set = digits(1, 0, 20);
        let on = |threads: usize, seed| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| sensitivities(&network, &classes(&set), &device, seed).unwrap())
        };
        let one = on(1, 4);
        assert_eq!(one, on(3, 4));
        assert_ne!(one, on(1, 5));
        assert_eq!(one.len(), 5);
        assert!(one.values().flatten().all(|h| h.is_finite() && *h >= 0.0));
        // A network on a device with gradients is the same one.
        let tracked = network.valid().train();
        let device = device.autodiff();
        assert_eq!(
            one,
            sensitivities(&tracked, &classes(&set), &device, 4).unwrap()
        );
        let none = set.split_at(0).0;
        let message = sensitivities(&network, &classes(&none), &device, 4)
            .unwrap_err()
            .to_string();
        assert_eq!(message, "items = 0 is not allowed: use at least one item");
        let fewer = Softmax {
            fc: LinearConfig::new(3, 3).init(&device.without_autodiff()),
        };
        let refused = sensitivities(&fewer, &classes(&lines(2)), &Device::flex(), 4).unwrap_err();
        assert!(matches!(
            refused,
            TrainingError::Outputs {
                outputs: 3,
                needed: 4,
                ..
            }
        ));
    }

    #[derive(Module, Debug)]
    struct Normed {
        conv: Conv2d,
        norm: BatchNorm,
        dropout: Dropout,
        fc: Linear,
    }

    impl Network for Normed {}

    impl Classifier for Normed {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            let x = self.norm.forward(self.conv.forward(images));
            let x = x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3);
            self.fc.forward(self.dropout.forward(x))
        }
    }

    #[test]
    fn norms_and_dropout_rest() {
        let device = Device::flex().autodiff();
        let network = Normed {
            conv: Conv2dConfig::new([1, 3], [3, 3]).init(&device),
            norm: BatchNormConfig::new(3).init(&device),
            dropout: DropoutConfig::new(0.5).init(),
            fc: LinearConfig::new(3, 10).init(&device),
        };
        let network = initialize(network, 2);
        let set = digits(1, 0, 6);
        let running = |network: &Normed| values(network.norm.running_mean.value_sync()).unwrap();
        let before = running(&network);
        let found = sensitivities(&network, &classes(&set), &device, 1).unwrap();
        assert_eq!(running(&network), before);
        // Nothing of one pass is left for the next: dropout draws nothing.
        assert_eq!(
            found,
            sensitivities(&network, &classes(&set), &device, 1).unwrap()
        );
        // A batch norm of one batch would make the mean of every channel zero, and nothing would reach these weights.
        assert!(found["fc.weight"].iter().any(|h| *h > 1e-6));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["conv.weight", "fc.weight"]
        );
    }
}
