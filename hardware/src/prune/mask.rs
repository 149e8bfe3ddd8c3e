//! The weights of one layer that remain.

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Which weights of one parameter remain, as ones and zeros: held flat, so that one type serves every rank. It takes no gradient.
#[derive(Module, Debug)]
pub struct Mask {
    mask: Param<Tensor<1>>,
}

impl Mask {
    /// The mask of the weights that `kept` says, in row-major order of the parameter.
    pub fn new(kept: &[bool], device: &Device) -> Self {
        let values: Vec<f32> = kept.iter().map(|kept| f32::from(u8::from(*kept))).collect();
        let data = TensorData::new(values, [kept.len()]);
        let mask = Tensor::<1>::from_data(data, (device, DType::F32));
        Self {
            mask: Param::from_tensor(mask).set_require_grad(false),
        }
    }

    /// `weight` with zeros where weights were pruned. The gradient is that of the product: a pruned weight has none.
    pub fn apply<const D: usize>(&self, weight: Tensor<D>) -> Tensor<D> {
        let weight = match weight.dtype().is_float() {
            true => weight,
            false => weight.dequantize(),
        };
        let mask = self.mask.val().reshape(weight.dims());
        match weight.dtype() {
            DType::F32 => weight * mask,
            dtype => weight * mask.cast(dtype),
        }
    }

    /// Which weights remain, on the host.
    pub(crate) fn kept(&self) -> Vec<bool> {
        let values: Vec<f32> = self
            .mask
            .val()
            .into_data()
            .try_into_vec_as()
            .expect("a mask is a tensor of floats");
        values.into_iter().map(|value| value != 0.0).collect()
    }
}
