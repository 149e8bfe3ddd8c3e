//! A held deviation, which a chip adds to a weight.

use burn::module::{Module, Param, Reparameterization};
use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::host_weights::{dense, on_host};
use crate::{ChipDraws, Variation, WeightLayout, WeightShape};

/// The deviation of every element of one parameter. It is held until it is replaced, so every use of the weight sees the
/// same chip.
///
/// It is stored flat and in 32-bit floats, so that one type serves parameters of every rank and element type, and takes no
/// gradient. The sum has the element type of the weight.
#[derive(Module, Debug)]
pub struct Deviation {
    deviation: Param<Tensor<1>>,
}

impl Deviation {
    /// A deviation of the given values, in row-major order of the parameter.
    pub fn from_values(values: Vec<f32>, device: &Device) -> Self {
        let length = values.len();
        // The default type of the device may be another.
        let data = TensorData::new(values, [length]);
        let tensor = Tensor::<1>::from_data(data, (device, DType::F32));
        Self {
            deviation: Param::from_tensor(tensor).set_require_grad(false),
        }
    }

    /// The deviation of the programmed `weights` of the parameter at `path` on `chip`, laid out as `layout` says.
    pub fn draw<const D: usize>(
        weights: Tensor<D>,
        variation: &Variation,
        chip: impl ChipDraws,
        path: &str,
        layout: WeightLayout,
        device: &Device,
    ) -> Self {
        let shape = WeightShape::new(&weights.dims(), layout);
        let values = on_host(weights);
        Self::from_values(variation.draw(chip, path, &values, &shape), device)
    }

    /// `base + deviation`, with the shape and the element type of `base`; a packed base is unpacked first.
    pub fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let (shape, base) = (base.dims(), dense(base));
        let deviation = self.deviation.val().reshape(shape);
        match base.dtype() {
            DType::F32 => base + deviation,
            dtype => base + deviation.cast(dtype),
        }
    }
}

impl Reparameterization for Deviation {
    const NAME: &'static str = "deviation";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        self.apply(base)
    }
}
