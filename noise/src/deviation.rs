//! A held deviation: what a chip adds to a weight.

use burn::module::{Module, Param, Reparameterization};
use burn::tensor::{Device, Tensor, TensorData};

use crate::{ChipDraws, Variation, WeightLayout, WeightShape};

/// The deviation of every element of one parameter, held until it is replaced: every use of the weight sees one chip.
///
/// It is stored flat, so that one type serves parameters of every rank, and takes no gradient.
#[derive(Module, Debug)]
pub struct Deviation {
    deviation: Param<Tensor<1>>,
}

impl Deviation {
    /// A deviation of the given values, in row-major order of the parameter.
    pub fn from_values(values: Vec<f32>, device: &Device) -> Self {
        let length = values.len();
        let tensor = Tensor::<1>::from_data(TensorData::new(values, [length]), device);
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
        let values: Vec<f32> = weights
            .into_data()
            .try_into_vec_as()
            .expect("a weight is a tensor of floats");
        Self::from_values(variation.draw(chip, path, &values, &shape), device)
    }

    /// `base + deviation`, with the shape of `base`.
    pub fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let shape = base.dims();
        base + self.deviation.val().reshape(shape)
    }
}

impl Reparameterization for Deviation {
    const NAME: &'static str = "deviation";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        self.apply(base)
    }
}
