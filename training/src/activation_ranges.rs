//! Ranges of quantized activations, set on items without training.

use std::ops::ControlFlow;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use crossburn_hardware::{ActivationQuantizer, WeightPlan, quantize_weights};
use crossburn_models::Network;

use crate::task::{Batch, Learn};
use crate::{Batches, TrainingError};

/// `network` with ranges of activations that are set on the items of `batches`, which are on its inner device. Nothing else
/// changes: norms use their running statistics, and weights are quantized by `weights`, as they are programmed. No gradient
/// is tracked.
///
/// ```text
/// range = Σ (items of a batch · largest activation in it) / Σ items of a batch
/// ```
///
/// The range of a layer depends on those before it. The first batch therefore passes several times before it counts, at most
/// once for each range. Later batches move the ranges by their share. `after_batch` gets the number of items so far; if it
/// asks for an end, the result is `None`.
///
/// # Errors
/// Those of [`quantize_weights`], and [`TrainingError::Device`].
pub fn set_activation_ranges<N: Network, T: Learn<N>>(
    network: &N,
    weights: impl Into<WeightPlan>,
    batches: &Batches<T>,
    mut after_batch: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<N>, TrainingError> {
    // A copy with running states of its own, and a view that shares them. All of the view is frozen but the quantizers, which follow
    // what they meet on a device with autodiff alone.
    let network = network.valid().train();
    let follow = &mut Ranges::default();
    let view = quantize_weights(network.clone().freeze().map(follow), weights)?;
    let largest = |batch: &T::Batch| -> Result<Vec<f64>, TrainingError> {
        let before = ranges(&view)?;
        batches.task().forward(&view, &batch.tracked());
        let after = ranges(&view)?.into_iter();
        // The moving average of the quantizer, solved for what it met.
        let kept = ActivationQuantizer::MOMENTUM;
        let largest = |(after, before)| (after - kept * before) / (1.0 - kept);
        Ok(after
            .zip(before)
            .map(largest)
            .map(|x| x.max(ActivationQuantizer::LEAST_RANGE))
            .collect())
    };
    let mut mean = ranges(&view)?;
    if let Some(first) = batches.iter().next().transpose()? {
        for _ in 0..mean.len() {
            let found = largest(&first)?;
            let far = |(new, old): (&f64, &f64)| (new - old).abs() > 1e-4 * new.abs();
            let moves = found.iter().zip(&mean).any(far);
            set(&view, &found);
            mean = found;
            if after_batch(0).is_break() {
                return Ok(None);
            }
            if !moves {
                break;
            }
        }
    }
    let mut passed = 0;
    for batch in batches.iter() {
        let batch = batch?;
        let found = largest(&batch)?;
        passed += batch.items();
        let share = batch.items() as f64 / passed as f64;
        for (mean, found) in mean.iter_mut().zip(found) {
            *mean += share * (found - *mean);
        }
        set(&view, &mean);
        if after_batch(passed).is_break() {
            return Ok(None);
        }
    }
    Ok(Some(network.valid()))
}

/// The ranges in the order of the module.
fn ranges<M: Module>(module: &M) -> Result<Vec<f64>, TrainingError> {
    let mut ranges = Ranges::default();
    // `valid` lets the last update of a running state take effect.
    module.valid().visit(&mut ranges);
    ranges.error.map_or(Ok(ranges.values), Err)
}

/// Puts `values` in the place of the ranges, in the same order.
fn set<M: Module>(module: &M, values: &[f64]) {
    // Running states are shared with a clone.
    let _ = module.clone().map(&mut Ranges {
        given: Vec::from(values).into_iter(),
        ..Ranges::default()
    });
}

/// Walks over the quantizers of activations: collects their ranges, or lets them follow and puts others in their place.
#[derive(Default)]
struct Ranges {
    containers: Vec<String>,
    /// The ranges that were met.
    values: Vec<f64>,
    error: Option<TrainingError>,
    /// What takes their place.
    given: std::vec::IntoIter<f64>,
}

impl Ranges {
    fn in_quantizer(&self) -> bool {
        let container = self.containers.last().map(String::as_str);
        container == Some("Struct:ActivationQuantizer")
    }
}

impl ModuleVisitor for Ranges {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.in_quantizer() {
            return;
        }
        match crate::values(param.val()) {
            Ok(range) => self.values.extend(range.into_iter().map(f64::from)),
            Err(error) => self.error = Some(error),
        }
    }
}

impl ModuleMapper for Ranges {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.in_quantizer().then(|| self.given.next()).flatten() {
            Some(range) => param.map(|tensor| tensor.full_like(range)),
            None => param,
        }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        match self.in_quantizer() {
            true => flag.with_value(true),
            false => flag,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::Classification;
    use crate::Task;
    use crate::data::Values;
    use crate::testing::{classes, lines};
    use crate::trainable::trainable;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;
    use crossburn_hardware::WeightBits;
    use crossburn_models::{Classifier, initialize};

    #[derive(Module, Debug)]
    struct Normed {
        norm: BatchNorm,
        first: ActivationQuantizer,
        fc: Linear,
        second: ActivationQuantizer,
    }

    impl Network for Normed {}

    impl Classifier for Normed {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            // A graph of all passes would be held.
            assert!(trainable(self).is_empty());
            let x = self.norm.forward(images.flatten::<2>(1, 3));
            let y = self.second.forward(self.fc.forward(self.first.forward(x)));
            assert!(!y.is_require_grad());
            y
        }
    }

    fn network(bits: u8) -> Normed {
        let device = Device::flex();
        let bits = WeightBits::new(bits).unwrap();
        let network = Normed {
            norm: BatchNormConfig::new(3).init(&device),
            first: ActivationQuantizer::new(bits, &device),
            fc: LinearConfig::new(3, 2).with_bias(false).init(&device),
            second: ActivationQuantizer::new(bits, &device),
        };
        let mut network = initialize(network, 2);
        // One output is positive, so that each range has something to follow.
        network.fc.weight = network.fc.weight.map(|weight| {
            Tensor::from_floats([[1.0, -1.0], [0.5, -1.0], [0.25, -1.0]], &weight.device())
        });
        network
    }

    fn with_variance(network: Normed, variance: f32) -> Normed {
        let state = Tensor::full([3], variance, &Device::flex());
        network.norm.running_var.update(state);
        network.valid()
    }

    /// 65 items of three pixels: the last is far brighter than the others.
    fn items() -> Classification {
        let mut set = lines(1, 3, 2, 65);
        let pixel = |i: usize| {
            if i < 192 {
                0.5 + (i % 17) as f32 / 40.0
            } else {
                9.0
            }
        };
        set.values = Values::Floats((0..195).map(pixel).collect());
        classes(&set)
    }

    fn found(network: &Normed, task: &Classification, batch: usize) -> Normed {
        let batches = Batches::new(task, batch, &Device::flex()).unwrap();
        let follow = |_| ControlFlow::Continue(());
        let set = set_activation_ranges(network, None, &batches, follow);
        set.unwrap().unwrap()
    }

    /// The largest input of each quantizer for some items, where nothing is clipped.
    fn largest(network: &Normed, task: &Classification, items: std::ops::Range<usize>) -> [f64; 2] {
        let items: Vec<usize> = items.collect();
        let x = task.batch(&items, &Device::flex()).unwrap().inputs;
        let x = network.norm.forward(x.flatten::<2>(1, 3));
        let first = x.clamp_min(0.0);
        let second = network.fc.forward(first.clone());
        [first, second].map(|x| f64::from(x.max().into_scalar::<f32>()))
    }

    #[test]
    fn every_item_counts_alike_and_nothing_else_moves() {
        let task = items();
        let network = with_variance(network(16), 4.0);
        let set = found(&network, &task, 64);
        let (many, one) = (
            largest(&network, &task, 0..64),
            largest(&network, &task, 64..65),
        );
        let ranges = ranges(&set).unwrap();
        let expected = (64.0 * many[0] + one[0]) / 65.0;
        assert!(
            (ranges[0] - expected).abs() < 1e-5 * expected,
            "{ranges:?} {expected}"
        );
        assert!(0.1 < many[0] && many[0] < 0.5 * one[0]);
        // The second layer sees the last item as the first clips it: no more than without clipping, no less than the first batch.
        let most = (64.0 * many[1] + one[1]) / 65.0;
        let least = 64.0 / 65.0 * many[1];
        assert!(
            (0.999 * least..1.001 * most).contains(&ranges[1]),
            "{ranges:?}"
        );
        for (a, b) in [
            (&set.norm.running_mean, &network.norm.running_mean),
            (&set.norm.running_var, &network.norm.running_var),
        ] {
            assert_eq!(a.value().into_data(), b.value().into_data());
        }
        assert_eq!(
            set.fc.weight.val().into_data(),
            network.fc.weight.val().into_data()
        );
        // The network that was given keeps its ranges.
        assert_eq!(super::ranges(&network).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn a_range_after_another_is_that_of_the_network_as_it_will_compute() {
        let task = items().split_at(64).0;
        for variance in [1e-4, 1.0, 1e4] {
            let network = with_variance(network(16), variance);
            let set = found(&network, &task, 64);
            let expected = largest(&network, &task, 0..64);
            for (range, expected) in ranges(&set).unwrap().iter().zip(expected) {
                // Rounding to 16 bits, and the f32 of the ranges.
                assert!(
                    (range - expected).abs() < 1e-4 * expected,
                    "{range} {expected}"
                );
            }
        }
    }

    #[test]
    fn it_ends_when_it_is_asked_to() {
        let batches = Batches::new(&items(), 32, &Device::flex()).unwrap();
        let mut told = Vec::new();
        let stopped = set_activation_ranges(&network(8), None, &batches, |items| {
            told.push(items);
            match items < 64 {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        assert!(stopped.unwrap().is_none());
        assert_eq!(told.last(), Some(&64));
        assert!(told.contains(&32));
    }
}
