//! Values that no network may compute with.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::NoiseError;
use crate::host_weights::on_host;

/// Refuses a module with a parameter or running statistic that is NaN or infinite, or with a negative running variance.
///
/// Without this check, such a value silently becomes a metric: a maximum skips NaN, so the answer merely looks wrong. The
/// check covers stored values and those of attached reparameterizations.
///
/// # Errors
/// [`NoiseError::Value`], which names the first such value and its place.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_noise::require_finite;
///
/// let mut layer = LinearConfig::new(2, 2).init(&Device::flex());
/// require_finite(&layer)?;
/// layer.weight = layer.weight.map(|weight| weight / 0.0);
/// assert!(require_finite(&layer).is_err());
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
pub fn require_finite<M: Module>(module: &M) -> Result<(), NoiseError> {
    let mut look = Look {
        path: Vec::new(),
        containers: Vec::new(),
        found: None,
    };
    module.visit(&mut look);
    look.found.map_or(Ok(()), Err)
}

/// A value that no network may compute with.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfitValue {
    /// Its index, one number per axis.
    pub place: Vec<usize>,
    /// The value.
    pub value: f32,
    /// What should stand there.
    pub remedy: &'static str,
}

/// The first of `values`, in row-major order of a tensor of this `shape`, that is not finite, or that is negative although
/// values must begin `from_zero`.
pub fn unfit_value(values: &[f32], shape: &[usize], from_zero: bool) -> Option<UnfitValue> {
    let unfit = |value: &f32| !value.is_finite() || (from_zero && *value < 0.0);
    let index = values.iter().position(unfit)?;
    Some(UnfitValue {
        place: place(index, shape),
        value: values[index],
        remedy: match from_zero {
            true => "where a finite number from 0 on belongs",
            false => "where a finite number belongs",
        },
    })
}

struct Look {
    path: Vec<String>,
    containers: Vec<String>,
    found: Option<NoiseError>,
}

impl ModuleVisitor for Look {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.found.is_some() {
            return;
        }
        let variance = self.path.last().is_some_and(|name| name == "running_var")
            && self
                .containers
                .last()
                .is_some_and(|container| container == "Struct:BatchNorm");
        let shape = param.lazy_shape();
        let unfit = unfit_value(&on_host(param.base()), shape.as_slice(), variance);
        self.found = unfit.map(|unfit| NoiseError::Value {
            path: self.path.join("."),
            place: unfit.place,
            value: unfit.value,
            remedy: unfit.remedy,
        });
    }
}

/// Index per axis of the entry `index` in row-major order.
fn place(mut index: usize, shape: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let at = index % size.max(1);
            index /= size.max(1);
            at
        })
        .collect();
    place.reverse();
    place
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::module::Lora;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{DType, Device, TensorData};

    #[derive(Module, Debug)]
    struct Net {
        conv: Conv2d,
        norm: BatchNorm,
        fc: Linear,
    }

    fn net() -> Net {
        let device = Device::flex();
        Net {
            conv: Conv2dConfig::new([1, 2], [3, 3]).init(&device),
            norm: BatchNormConfig::new(2).init(&device),
            fc: LinearConfig::new(2, 3).init(&device),
        }
    }

    /// `param` with `value` at the entry `at`.
    fn spoiled<const D: usize>(param: Param<Tensor<D>>, at: usize, value: f32) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let (shape, device, dtype) = (tensor.dims(), tensor.device(), tensor.dtype());
            let mut values: Vec<f32> = tensor.into_data().try_into_vec_as().unwrap();
            values[at] = value;
            Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
        })
    }

    #[test]
    fn tensor_and_place_are_named() {
        require_finite(&net()).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut net = net();
            // 2 filters of 1 x 3 x 3 taps: entry 13 is the middle tap of the second.
            net.conv.weight = spoiled(net.conv.weight, 13, value);
            let error = require_finite(&net).unwrap_err().to_string();
            let expected = format!(
                "entry [1, 0, 1, 1] of `conv.weight` is {value}, where a finite number belongs"
            );
            assert_eq!(error, expected);
        }
        let mut biased = net();
        biased.fc.bias = biased.fc.bias.map(|bias| spoiled(bias, 2, f32::NAN));
        let error = require_finite(&biased).unwrap_err().to_string();
        assert!(
            error.starts_with("entry [2] of `fc.bias` is NaN"),
            "{error}"
        );
    }

    #[test]
    fn running_statistics_are_looked_at_and_a_variance_is_not_negative() {
        let of = |change: fn(&Net)| {
            let net = net();
            change(&net);
            // Pending updates take effect in a copy.
            require_finite(&net.valid()).unwrap_err().to_string()
        };
        let error = of(|net| {
            let values = Tensor::from_floats([0.0, f32::NAN], &Device::flex());
            net.norm.running_mean.update(values);
        });
        assert!(
            error.contains("[1] of `norm.running_mean` is NaN"),
            "{error}"
        );
        let error = of(|net| {
            let values = Tensor::from_floats([-1.0, 1.0], &Device::flex());
            net.norm.running_var.update(values);
        });
        assert!(
            error.contains("[0] of `norm.running_var` is -1, where a finite number from 0 on"),
            "{error}"
        );
        // A mean may be negative.
        let negative = net();
        let values = Tensor::from_floats([-1.0, 1.0], &Device::flex());
        negative.norm.running_mean.update(values);
        require_finite(&negative.valid()).unwrap();
    }

    #[test]
    fn half_precision_and_adapters_are_looked_at() {
        let mut half = net();
        half.fc.weight = half.fc.weight.map(|weight| weight.cast(DType::F16));
        require_finite(&half).unwrap();
        // 1e6 is above the largest number of 16 bits.
        half.fc.weight = spoiled(half.fc.weight, 0, 1e6);
        let error = require_finite(&half).unwrap_err().to_string();
        assert!(error.contains("[0, 0] of `fc.weight` is inf"), "{error}");
        // Draws of this size are infinite in 32 bits.
        let adapter = Lora {
            init_std: Some(1e60),
            ..Lora::new(1, 1.0)
        };
        let error = require_finite(&net().fc.apply_lora(adapter)).unwrap_err();
        assert!(error.to_string().contains("`weight.lora.a`"), "{error}");
    }
}
