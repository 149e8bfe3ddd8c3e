//! Quantization of a trained network by data.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::Module;
use crossburn_noise::{matrix_weights, require_finite, shared_weights};

use super::network_weights::{attach, in_matrices, replace, stored};
use crate::layer::OnArray;
use crate::quantize::{InputMoments, Rounding, RoundingPlan};
use crate::{HardwareError, WeightPlan};

/// How a trained network is quantized, apart from the widths of its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PostTraining {
    /// The way onto the grids.
    pub rounding: Rounding,
    /// Number of inputs that share a grid, for each output; by default the granularity of the plan.
    pub group: Option<NonZeroUsize>,
}

/// The moments of the inputs of one weight, one for each of its matrices.
pub(super) type Watched = Arc<Mutex<Vec<InputMoments>>>;

impl PostTraining {
    /// `network`, in evaluation mode, with its weights on the grids that `plan` gives them; those that it prunes are zero.
    ///
    /// If the rounding needs calibration data, `run` passes them through the network that it is given; 128 sequences or a
    /// few hundred images are usual. Every layer is rounded for the inputs that it has in the unquantized network. The
    /// moments of a layer take `8 inputs²` bytes until all are rounded.
    ///
    /// ```
    /// use burn::nn::LinearConfig;
    /// use burn::tensor::{Device, Distribution, Tensor};
    /// use crossburn_hardware::WeightBits;
    /// use crossburn_hardware::deploy::PostTraining;
    /// use crossburn_hardware::layer::linear;
    /// use crossburn_hardware::quantize::Rounding;
    ///
    /// let device = Device::flex();
    /// let network = LinearConfig::new(64, 8).init(&device);
    /// let data = Tensor::<2>::random([100, 64], Distribution::Default, &device);
    /// let gptq = PostTraining { rounding: Rounding::gptq(), group: None };
    /// let small = gptq.quantized(&network, WeightBits::new(4)?, |network| {
    ///     linear(network, data.clone());
    /// })?;
    /// assert_eq!(small.weight.dims(), [64, 8]);
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    ///
    /// # Errors
    /// [`HardwareError`] for values that are not finite, patterns of the plan without a weight, weights that no layer of
    /// [`crate::layer`] used in the run although the rounding asks for their inputs, and those of [`RoundingPlan::round`].
    pub fn quantized<M: Module>(
        &self,
        network: &M,
        plan: impl Into<WeightPlan>,
        run: impl Fn(&M),
    ) -> Result<M, HardwareError> {
        self.quantized_in(network, plan.into(), &run)
    }

    fn quantized_in<M: Module>(
        &self,
        network: &M,
        plan: WeightPlan,
        run: &dyn Fn(&M),
    ) -> Result<M, HardwareError> {
        self.rounding.check()?;
        let network = network.valid().materialize();
        require_finite(&network)?;
        plan.check(&network)?;
        let network = plan.prune(network);
        let mut selected = matrix_weights(&network);
        selected.extend(plan.placement().on_arrays(&network));
        selected.retain(|path| plan.quantization(path).is_some());
        let shared = shared_weights(&network, &selected);
        let first = |path: &str| shared.get(path).map_or(path, String::as_str).to_string();
        let moments = match self.rounding {
            Rounding::Nearest => BTreeMap::new(),
            Rounding::Gptq { .. } => watch(&network, &selected, first, run),
        };
        let mut held: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for (path, weight) in stored(&network, &selected) {
            // A weight that two layers share was rounded for the inputs of both.
            if let Some(rows) = held.get(&first(&path)) {
                let rows = rows.clone();
                held.insert(path, rows);
                continue;
            }
            let Some(quantization) = plan.quantization(&path) else {
                continue;
            };
            let named = |error: HardwareError| HardwareError::Layer {
                path: path.clone(),
                error: Box::new(error),
            };
            let moments = match moments.get(&path) {
                Some(moments) => moments
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
                None => Vec::new(),
            };
            let groups = moments.len().max(1);
            let mut matrices = in_matrices(&weight.values, &weight.shape, groups)?;
            let pruned = plan.pruning(&path).is_some();
            let plan = RoundingPlan {
                quantization: quantization.check().map_err(named)?,
                group: self.group,
                rounding: self.rounding,
                pruned,
            };
            plan.round(&mut matrices, &moments).map_err(named)?;
            let rows = matrices.into_iter().flat_map(|matrix| matrix.values);
            held.insert(path, rows.collect());
        }
        Ok(replace(&network, held))
    }
}

/// The moments of the inputs of every weight of `selected` that `run` used, under the path that `first` gives.
pub(super) fn watch<M: Module>(
    network: &M,
    selected: &BTreeSet<String>,
    first: impl Fn(&str) -> String,
    run: &dyn Fn(&M),
) -> BTreeMap<String, Watched> {
    let mut moments: BTreeMap<String, Watched> = BTreeMap::new();
    let watched = attach(network.clone(), |path| {
        let watched = selected.contains(path).then(|| first(path))?;
        let watched = moments.entry(watched).or_default().clone();
        Some(OnArray::moments(watched))
    });
    run(&watched);
    moments
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::layer::{conv2d, linear};
    use crate::{WeightBits, programmed};
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor, TensorData};
    use crossburn_noise::{PathPattern, Philox};

    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        fc: Linear,
        unused: Linear,
    }

    fn net() -> Net {
        let device = Device::flex();
        device.seed(3);
        Net {
            conv: Conv2dConfig::new([4, 6], [3, 3])
                .with_groups(2)
                .init(&device),
            fc: LinearConfig::new(6 * 36, 5).init(&device),
            unused: LinearConfig::new(3, 3).init(&device),
        }
    }

    impl Net {
        fn forward(&self, x: Tensor<4>) -> Tensor<2> {
            linear(&self.fc, conv2d(&self.conv, x).flatten(1, 3))
        }
    }

    /// Smooth images: neighbours are alike.
    fn images(seed: u64) -> Tensor<4> {
        let shape = [32, 4, 8, 8];
        let mut values = vec![0.0; shape.iter().product()];
        Philox::new(seed, 0).fill_normal(&mut values);
        for at in 1..values.len() {
            values[at] = 0.95 * values[at - 1] + 0.3 * values[at];
        }
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    fn values(weight: Tensor<2>) -> Vec<f32> {
        weight.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_network_moves_less_than_by_rounding_to_the_nearest() {
        let plan = || {
            WeightPlan::from(WeightBits::new(4).unwrap())
                .with_bits(PathPattern::new("unused.*"), None)
        };
        let network = net();
        let rounded = |rounding| {
            let settings = PostTraining {
                rounding,
                group: NonZeroUsize::new(9),
            };
            let run = |network: &Net| drop(network.forward(images(1)));
            settings.quantized(&network, plan(), run).unwrap()
        };
        let error = |rounded: &Net| {
            let moved = rounded.forward(images(2)) - network.forward(images(2));
            moved.powi_scalar(2).mean().into_scalar::<f32>()
        };
        let (gptq, nearest) = (rounded(Rounding::gptq()), rounded(Rounding::Nearest));
        assert!(error(&gptq) < 0.7 * error(&nearest));
        assert_eq!(
            values(gptq.unused.weight.val()),
            values(network.unused.weight.val())
        );
        // A group of a convolution has grids of its own: 15 levels for every output and nine taps.
        let taps = gptq
            .conv
            .weight
            .val()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        for taps in taps.chunks(9) {
            let largest = taps.iter().fold(0.0f32, |most, tap| most.max(tap.abs()));
            for tap in taps {
                let level = tap / largest * 7.0;
                assert!((level - level.round()).abs() < 1e-4, "{level}");
            }
        }
    }

    #[test]
    fn without_groups_the_nearest_is_the_quantizer_of_training() {
        let network = net();
        let bits = WeightBits::new(3).unwrap();
        let plain = PostTraining::default();
        let rounded = plain.quantized(&network, bits, |_| {}).unwrap();
        let expected = programmed(&network, bits);
        // The host divides by the step as the device does; the last place of a product may differ.
        for (found, expected) in values(rounded.fc.weight.val())
            .into_iter()
            .zip(values(expected.fc.weight.val()))
        {
            assert!((found - expected).abs() <= 2.0 * f32::EPSILON * expected.abs());
        }
    }

    #[test]
    fn a_weight_that_no_layer_used_is_named() {
        let settings = PostTraining {
            rounding: Rounding::gptq(),
            group: None,
        };
        let run = |network: &Net| drop(network.forward(images(1)));
        let error = settings.quantized(&net(), WeightBits::new(4).unwrap(), run);
        insta::assert_snapshot!(error.unwrap_err(), @r#"layer `unused.weight`: rounding = "gptq" without inputs to calibrate by: run some data through the network, or round to the nearest"#);
    }
}
