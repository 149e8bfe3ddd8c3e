//! Which images a pass through a network is about.

use std::sync::Arc;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::OnArray;

/// What `pass` gives for `network`, whose arrays know meanwhile that it is about `images`: their numbers in the data set, in
/// the order of the batch.
///
/// Read noise of an image is then a function of the chip and of the number, in whatever order and batches images come. The
/// first dimension of a layer's input must be that of the images, or a multiple of it. A pass that is not wrapped reads on
/// from the last one that was not.
///
/// One pass of a network at a time: its clones share the arrays.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
/// use crossburn_hardware::layer::{about_images, linear};
/// use crossburn_noise::ChipSeed;
///
/// let hardware = Hardware::from_toml(r#"
///     device = { preset = "pcm-mushroom" }
///     mapping = { weight_bits = 8 }
///     array = { rows = 64, columns = 64, input = { bits = 8 } }
/// "#)?;
/// let device = Device::flex();
/// let network = LinearConfig::new(10, 4).init(&device);
/// let images = Tensor::<2>::ones([2, 10], &device);
/// let mapped = MappedNetwork::new(&network, &hardware, 2, |network| {
///     linear(network, images.clone());
/// })?;
/// let chip = mapped.fab(Fidelity::Array)?.chip(ChipSeed::new(7, 17))?;
/// let read = |numbers: &[u64]| about_images(&chip, numbers, |chip| linear(chip, images.clone())).into_data();
/// assert_eq!(read(&[3, 8]), read(&[3, 8]));
/// assert_ne!(read(&[3, 8]), read(&[4, 8]));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn about_images<M: Module, T>(network: &M, images: &[u64], pass: impl FnOnce(&M) -> T) -> T {
    network.visit(&mut About(Some(images.into())));
    let result = pass(network);
    network.visit(&mut About(None));
    result
}

/// Tells every weight on arrays.
struct About(Option<Arc<[u64]>>);

impl ModuleVisitor for About {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(on_array) = param.reparameterization::<OnArray>() {
            on_array.about(self.0.clone());
        }
    }
}
