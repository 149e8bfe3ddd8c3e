//! The arrays that are attached to a weight.

use std::cell::LazyCell;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, Param, Reparameterization};
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_noise::{Philox, WeightLayout, WeightShape};
use rayon::prelude::*;

use super::images::pass;
use super::{Geometry, LayerUse};
use crate::array::{CurrentProfile, DeviceMatrix, ProgrammedMatrix, Reads};
use crate::map::Rescaling;
use crate::quantize::InputMoments;
use crate::straight_through;

/// Values of inputs that are laid out as patches at a time, 1 MiB: small enough for fresh memory to cost little, large
/// enough for whole blocks of rows. Blocks go over the threads of the current pool.
const BLOCK: usize = 1 << 18;
/// Rows that a block has at least, so that the tables of bit-serial products pay.
const ROWS: usize = 128;

/// The same on a device: values of patches, or of their products.
const ON_DEVICE: usize = 1 << 24;

/// A weight on arrays: the functions of [`layer`](super), such as [`conv2d`](super::conv2d), find it and let the arrays
/// multiply. To every other layer the weight is what the cells hold.
#[derive(Module, Debug)]
pub struct OnArray {
    #[module(skip)]
    role: Role,
    /// Takes the gradient of the logarithm of the full scale of inputs, where that is wanted.
    #[module(skip)]
    input_scale: Option<Tensor<1>>,
}

#[derive(Clone, Debug)]
enum Role {
    Probe(Arc<Probe>),
    Profile(Arc<Profile>),
    /// Watches the inputs of a pass: their moments, one for each group.
    Moments(Arc<Mutex<Vec<InputMoments>>>),
    /// Watches the inputs of a pass: sums of the squares of each channel.
    Squares(Arc<Mutex<Vec<f64>>>),
    Arrays(Arc<Arrays>),
}

/// Watches a pass: how is this weight used?
#[derive(Debug)]
struct Probe {
    path: String,
    /// Shared by the weights of a network, in the order of their first use.
    uses: Arc<Mutex<Vec<LayerUse>>>,
}

/// Watches the currents of a pass.
#[derive(Debug)]
struct Profile {
    matrices: Arc<Vec<ProgrammedMatrix>>,
    rescaling: Option<Arc<Rescaling>>,
    profiles: Arc<Mutex<Vec<CurrentProfile>>>,
}

/// The arrays of one weight of one chip.
#[derive(Debug)]
struct Arrays {
    /// One per group.
    matrices: Vec<ProgrammedMatrix>,
    /// How the layer lays out its weight.
    layout: WeightLayout,
    /// Factors of the input channels, if they are rescaled.
    rescaling: Option<Arc<Rescaling>>,
    /// Streams of read noise, one per group, where reads scatter.
    reads: Option<Vec<Philox>>,
    /// Which reads the next product is.
    turn: Mutex<Turn>,
    /// The tensors of the device that multiplied last.
    on_device: Mutex<Option<OnDevice>>,
}

/// The matrices of one weight on a device.
#[derive(Debug)]
struct OnDevice {
    device: Device,
    /// One per group.
    matrices: Vec<DeviceMatrix>,
    /// By geometry and group, where the inputs of every position lie.
    places: Vec<(Geometry, Vec<Tensor<1, Int>>)>,
}

/// Which reads the products of one weight are.
#[derive(Debug, Default)]
struct Turn {
    /// Rows that were multiplied so far outside of passes about known images.
    rows: u64,
    /// The last pass about known images, and the products of this weight in it.
    pass: u64,
    products: u64,
}

/// Reads that the images of one pass may have; those of a weight's next product in the same pass follow.
const READS_OF_PRODUCT: u64 = 1 << 36;

impl Turn {
    /// The numbers of the reads of a batch with `positions` rows each, in order.
    ///
    /// An image has the reads from `image · rows of an image` on, whatever was read before it. Rows of a pass about images
    /// that are not known count on.
    fn numbers(&mut self, batch: usize, positions: usize) -> Vec<u64> {
        let rows = (batch * positions) as u64;
        let fits = |images: &[u64]| !images.is_empty() && batch.is_multiple_of(images.len());
        let Some(pass) = pass().filter(|pass| fits(&pass.images)) else {
            let first = self.rows;
            self.rows += rows;
            return (first..first + rows).collect();
        };
        if pass.number != self.pass {
            (self.pass, self.products) = (pass.number, 0);
        }
        let start = self.products * READS_OF_PRODUCT;
        self.products += 1;
        let of_image = rows / pass.images.len() as u64;
        let reads = |image: &u64| {
            let first = start + image * of_image;
            first..first + of_image
        };
        pass.images.iter().flat_map(reads).collect()
    }
}

impl OnArray {
    /// Records in `uses` how the weight at `path` is used.
    pub(crate) fn probe(path: &str, uses: Arc<Mutex<Vec<LayerUse>>>) -> Self {
        Self::of(Role::Probe(Arc::new(Probe {
            path: path.to_string(),
            uses,
        })))
    }

    /// Adds the currents that a pass causes in `matrices` to `profiles`, one per group.
    pub(crate) fn profile(
        matrices: Arc<Vec<ProgrammedMatrix>>,
        rescaling: Option<Arc<Rescaling>>,
        profiles: Arc<Mutex<Vec<CurrentProfile>>>,
    ) -> Self {
        Self::of(Role::Profile(Arc::new(Profile {
            matrices,
            rescaling,
            profiles,
        })))
    }

    /// Adds the moments of the inputs of a pass to `moments`, one per group.
    pub(crate) fn moments(moments: Arc<Mutex<Vec<InputMoments>>>) -> Self {
        Self::of(Role::Moments(moments))
    }

    /// Adds the squares of the inputs of a pass to `sums`, one for each channel.
    pub(crate) fn squares(sums: Arc<Mutex<Vec<f64>>>) -> Self {
        Self::of(Role::Squares(sums))
    }

    /// Lets `matrices` multiply, one per group, for a layer that lays out its weight by `layout` and whose inputs meet `rescaling`.
    pub(crate) fn arrays(
        matrices: Vec<ProgrammedMatrix>,
        layout: WeightLayout,
        rescaling: Option<Arc<Rescaling>>,
        reads: Option<Vec<Philox>>,
    ) -> Self {
        Self::of(Role::Arrays(Arc::new(Arrays {
            matrices,
            layout,
            rescaling,
            reads,
            turn: Mutex::default(),
            on_device: Mutex::default(),
        })))
    }

    fn of(role: Role) -> Self {
        Self {
            role,
            input_scale: None,
        }
    }

    /// The same with `scale`, one number that takes a gradient and whose value does not matter: its gradient will be that of the
    /// logarithm of the full scale of inputs.
    pub(crate) fn learning_input_scale(self, scale: Tensor<1>) -> Self {
        Self {
            input_scale: Some(scale),
            ..self
        }
    }

    /// The product with `input`, `[batch, channels, height, width]`, and `bias`; `digital` gives what the layer computes
    /// from an input of that shape with the weights that it sees, bias included.
    ///
    /// The gradient of a product on arrays is that of the weights that the cells hold, with the inputs as their converters
    /// clip them: an input that is clipped has none. The size of the weights is an exception: arrays hold them as fractions of
    /// the largest, so that with s times the weights the arrays give s times what they gave, with all of its errors. Along `weight`,
    /// the gradient is therefore that of what the arrays gave. Without it errors of converters would never hold a network back from
    /// larger and larger outputs.
    ///
    /// # Shapes
    /// `[batch, channels, ..]` with the last one to three axes of `geometry`.
    pub(super) fn product<const D: usize, const R: usize>(
        &self,
        geometry: &Geometry,
        input: Tensor<R>,
        weight: &Param<Tensor<D>>,
        bias: Option<Tensor<1>>,
        digital: impl FnOnce(Tensor<R>) -> Tensor<R>,
    ) -> Tensor<R> {
        let batch = input.dims()[0];
        let (input, digital) = self.rescaled(input, digital);
        let tracked = input.device().is_autodiff();
        let seen = match tracked {
            true => input.clone().inner(),
            false => input.clone(),
        };
        let (device, dtype) = (seen.device(), seen.dtype());
        // Read back from a device only where that is needed.
        let x = LazyCell::new(|| -> Vec<f32> {
            let data = seen.clone().into_data();
            data.try_into_vec_as()
                .expect("an input is a tensor of floats")
        });
        let arrays = match &self.role {
            Role::Probe(probe) => {
                probe.watch(geometry, &x, batch);
                return digital(input);
            }
            Role::Profile(profile) => {
                profile.watch(geometry, &x, batch);
                return digital(input);
            }
            Role::Moments(moments) => {
                watch_moments(moments, geometry, &x, batch);
                return digital(input);
            }
            Role::Squares(sums) => {
                add_squares(&mut unpoisoned(sums), geometry.channels, &x, batch);
                return digital(input);
            }
            Role::Arrays(arrays) => arrays,
        };
        let outputs = arrays.outputs();
        let size = geometry.output_size();
        let mut shape = [batch; R];
        shape[1] = outputs;
        shape[2..].copy_from_slice(&size[5 - R..]);
        let on_host = on_host(&device);
        let mut product = match on_host {
            true => {
                let out = arrays.multiply(geometry, &x, batch);
                Tensor::<R>::from_data(TensorData::new(out, shape), (&device, dtype))
            }
            false => arrays
                .multiply_on(&device, geometry, seen.clone(), ON_DEVICE)
                .reshape(shape),
        };
        if let Some(bias) = bias {
            let bias = if tracked { bias.inner() } else { bias };
            let mut shape = [1; R];
            shape[1] = outputs;
            product = product + bias.reshape(shape);
        }
        if tracked {
            let digital = digital(arrays.clipped(input, &x, on_host, self.input_scale.clone()));
            let product = Tensor::from_inner(product);
            let missed = (product.clone() - digital.clone()).detach();
            let growth = growth(weight.base()).reshape([1; R]);
            return straight_through(digital, product) + missed * growth;
        }
        product
    }
}

impl OnArray {
    /// `input` as converters meet it, and `digital` of what they meet: without a rescaling both as they are.
    fn rescaled<const R: usize>(
        &self,
        input: Tensor<R>,
        digital: impl FnOnce(Tensor<R>) -> Tensor<R>,
    ) -> (Tensor<R>, impl FnOnce(Tensor<R>) -> Tensor<R>) {
        let rescaling = match &self.role {
            Role::Arrays(arrays) => arrays.rescaling.as_ref(),
            _ => None,
        };
        let factors = rescaling.map(|rescaling| {
            let mut shape = [1; R];
            shape[1] = rescaling.factors().len();
            let factors = TensorData::new(rescaling.factors().to_vec(), shape);
            Tensor::<R>::from_data(factors, (&input.device(), input.dtype()))
        });
        let met = match &factors {
            Some(factors) => input / factors.clone(),
            None => input,
        };
        let digital = move |met: Tensor<R>| match factors {
            Some(factors) => digital(met * factors),
            None => digital(met),
        };
        (met, digital)
    }
}

/// Whether `device` computes on the processor, where the own kernels are faster than tensor operations.
fn on_host(device: &Device) -> bool {
    *device == Device::flex() || is_ndarray(device)
}

#[cfg(feature = "ndarray")]
#[allow(deprecated, reason = "Burn's ndarray backend stays selectable")]
fn is_ndarray(device: &Device) -> bool {
    *device == Device::ndarray()
}

#[cfg(not(feature = "ndarray"))]
fn is_ndarray(_device: &Device) -> bool {
    false
}

/// Zero, with the gradient of the logarithm of the norm of `weight`.
fn growth<const D: usize>(weight: Tensor<D>) -> Tensor<1> {
    // Weights that are all zero have no direction, and stay without a gradient here.
    let square = weight.powi_scalar(2).sum() + f32::MIN_POSITIVE;
    let logarithm = square.log() * 0.5;
    logarithm.clone() - logarithm.detach()
}

impl Reparameterization for OnArray {
    const NAME: &'static str = "array";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        let Role::Arrays(arrays) = &self.role else {
            return base;
        };
        let mut rows = Vec::new();
        for (group, matrix) in arrays.matrices.iter().enumerate() {
            let mut held = matrix.effective_weights();
            if let Some(rescaling) = &arrays.rescaling {
                rescaling.take_out_of(group, held.inputs, &mut held.values);
            }
            rows.extend(held.values);
        }
        let held = in_layout_of(&base, arrays.layout, rows);
        straight_through(base, held)
    }
}

/// Weights given in rows of outputs, group after group, as a tensor in the layout and on the device of `weight`.
pub(crate) fn in_layout_of<const D: usize>(
    weight: &Tensor<D>,
    layout: WeightLayout,
    rows: Vec<f32>,
) -> Tensor<D> {
    let shape = weight.dims();
    let values = in_layout(&WeightShape::new(&shape, layout), rows);
    let options = (&weight.device(), weight.dtype());
    Tensor::from_data(TensorData::new(values, shape), options)
}

/// Numbers given in rows of outputs, group after group, in the layout of a Burn weight of this shape.
pub(crate) fn in_layout(shape: &WeightShape, rows: Vec<f32>) -> Vec<f32> {
    match (shape.layout(), &shape[..]) {
        (WeightLayout::Transposed { .. }, [_, _, taps @ ..]) => {
            // An output of a group after the other, each with its inputs and their taps.
            let (outputs, taps) = (shape.outputs(), taps.iter().product::<usize>());
            let inputs = rows.len() / outputs.count().max(1);
            let mut next: Vec<usize> = (0..outputs.count()).map(|o| o * inputs).collect();
            let runs = (0..rows.len()).step_by(taps.max(1)).flat_map(|at| {
                let from = &mut next[outputs.of(at)];
                *from += taps;
                &rows[*from - taps..*from]
            });
            runs.copied().collect()
        }
        // Burn's linear weights are [inputs, outputs].
        (WeightLayout::ByRank, [inputs, outputs]) => (0..inputs * outputs)
            .map(|at| rows[at % outputs * inputs + at / outputs])
            .collect(),
        _ => rows,
    }
}

impl Probe {
    fn watch(&self, geometry: &Geometry, x: &[f32], batch: usize) {
        let found = LayerUse::of(&self.path, geometry, batch, x);
        let mut uses = unpoisoned(&self.uses);
        match uses.iter_mut().find(|known| known.path == self.path) {
            Some(known) => *known = known.clone().and(&found),
            None => uses.push(found),
        }
    }
}

impl Profile {
    fn watch(&self, geometry: &Geometry, x: &[f32], batch: usize) {
        let met = self.rescaling.as_ref().map(|all| all.of_inputs(x, batch));
        let x = met.as_deref().unwrap_or(x);
        let mut profiles = unpoisoned(&self.profiles);
        for (group, (matrix, profile)) in self.matrices.iter().zip(profiles.iter_mut()).enumerate()
        {
            for images in blocks(geometry, batch) {
                matrix
                    .profile(&geometry.patches(x, images, group), profile)
                    .expect("patches have the inputs of the matrix, and a profile its slices");
            }
        }
    }
}

fn add_squares(sums: &mut Vec<f64>, channels: usize, x: &[f32], batch: usize) {
    sums.resize(channels, 0.0);
    let volume = (x.len() / (batch * channels).max(1)).max(1);
    for image in x.chunks((channels * volume).max(1)) {
        for (sum, plane) in sums.iter_mut().zip(image.chunks(volume)) {
            *sum += plane.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        }
    }
}

fn watch_moments(moments: &Mutex<Vec<InputMoments>>, geometry: &Geometry, x: &[f32], batch: usize) {
    let mut moments = unpoisoned(moments);
    moments.resize_with(geometry.groups, || InputMoments::new(geometry.inputs()));
    for (group, moments) in moments.iter_mut().enumerate() {
        for images in blocks(geometry, batch) {
            moments.add(&geometry.patches(x, images, group));
        }
    }
}

impl Arrays {
    /// `input`, of the values `x`, as the converters clip it. Its gradient is that of the unrounded input, and what their full scale makes
    /// of it, where `scale` takes that.
    fn clipped<const R: usize>(
        &self,
        input: Tensor<R>,
        x: &LazyCell<Vec<f32>, impl FnOnce() -> Vec<f32>>,
        on_host: bool,
        scale: Option<Tensor<1>>,
    ) -> Tensor<R> {
        let Some(matrix) = self.matrices.first() else {
            return input;
        };
        let (least, most) = matrix.input_limits();
        let (shape, device) = (input.dims(), input.device());
        let clipped = match on_host && x.iter().all(|x| (least..=most).contains(x)) {
            true => input,
            false => input.clamp(least, most),
        };
        let Some(scale) = scale else {
            return clipped;
        };
        let growth = TensorData::new(matrix.input_growth(x), shape);
        let growth = Tensor::from_data(growth, (&device, clipped.dtype()));
        let scale = scale.clone() - scale.clone().detach();
        clipped + growth * scale.reshape([1; R])
    }

    fn of_group(&self) -> usize {
        self.matrices.first().map_or(0, ProgrammedMatrix::outputs)
    }

    /// Outputs of all groups.
    fn outputs(&self) -> usize {
        self.of_group() * self.matrices.len()
    }

    /// The numbers of the reads of a batch; none where reads do not scatter.
    fn numbers(&self, batch: usize, positions: usize) -> Vec<u64> {
        match &self.reads {
            Some(_) => unpoisoned(&self.turn).numbers(batch, positions),
            None => Vec::new(),
        }
    }

    /// The product `[batch, outputs, positions]` as operations of `device`, in parts whose patches and products have at most `most`
    /// values.
    fn multiply_on<const R: usize>(
        &self,
        device: &Device,
        geometry: &Geometry,
        x: Tensor<R>,
        most: usize,
    ) -> Tensor<3> {
        let (batch, positions) = (x.dims()[0], geometry.positions());
        if batch * positions == 0 {
            return Tensor::zeros([batch, self.outputs(), positions], device);
        }
        let numbers = self.numbers(batch, positions);
        let (matrices, places) = self.held_by(device, geometry);
        let elements = geometry.channels * geometry.size.iter().product::<usize>();
        // The value for padding comes first.
        let zeros = Tensor::zeros([batch, 1], device);
        let padded: Tensor<2> = Tensor::cat(vec![zeros, x.reshape([batch, elements])], 1);
        let (inputs, of_group) = (geometry.inputs(), self.of_group());
        let at_once = (most / inputs.max(of_group).max(1)).max(1);
        // Whole images, or positions of one.
        let (images, positions_at_once) = match at_once / positions {
            0 => (1, at_once),
            images => (images, positions),
        };
        let part = |images: Range<usize>, at: Range<usize>| {
            let x = padded.clone().narrow(0, images.start, images.len());
            let rows = images.len() * at.len();
            let read = images.clone().flat_map(|image| {
                let of_image = image * positions;
                of_image + at.start..of_image + at.end
            });
            let read: Vec<u64> = match self.reads {
                Some(_) => read.map(|row| numbers[row]).collect(),
                None => Vec::new(),
            };
            let groups = matrices.iter().zip(&places).enumerate();
            let groups = groups.map(|(group, (matrix, places))| {
                let places = places
                    .clone()
                    .narrow(0, at.start * inputs, at.len() * inputs);
                let patches = x.clone().select(1, places).reshape([rows, inputs]);
                let reads = self.reads.as_ref().map(|streams| Reads {
                    draws: streams[group],
                    numbers: &read,
                });
                let product = matrix.multiply(patches, reads);
                product
                    .reshape([images.len(), at.len(), of_group])
                    .swap_dims(1, 2)
            });
            Tensor::cat(groups.collect(), 1)
        };
        let of_images = |first: usize| {
            let images = first..batch.min(first + images);
            let parts = (0..positions).step_by(positions_at_once).map(|from| {
                part(
                    images.clone(),
                    from..positions.min(from + positions_at_once),
                )
            });
            Tensor::cat(parts.collect(), 2)
        };
        Tensor::cat((0..batch).step_by(images).map(of_images).collect(), 0)
    }

    /// The matrices on `device`, and by group where the inputs of a layer of this geometry lie.
    fn held_by(
        &self,
        device: &Device,
        geometry: &Geometry,
    ) -> (Vec<DeviceMatrix>, Vec<Tensor<1, Int>>) {
        let mut held = unpoisoned(&self.on_device);
        if held.as_ref().is_none_or(|held| held.device != *device) {
            let matrices = self.matrices.iter().map(|matrix| matrix.on_device(device));
            *held = Some(OnDevice {
                device: device.clone(),
                matrices: matrices.collect(),
                places: Vec::new(),
            });
        }
        let Some(held) = held.as_mut() else {
            return (Vec::new(), Vec::new());
        };
        let known = held.places.iter().find(|(known, _)| known == geometry);
        if let Some((_, places)) = known {
            return (held.matrices.clone(), places.clone());
        }
        let places = (0..geometry.groups)
            .map(|group| Tensor::from_ints(geometry.places(group).as_slice(), device));
        let places: Vec<Tensor<1, Int>> = places.collect();
        held.places.push((*geometry, places.clone()));
        (held.matrices.clone(), places)
    }

    /// The product `[batch, outputs, positions]`.
    fn multiply(&self, geometry: &Geometry, x: &[f32], batch: usize) -> Vec<f32> {
        let positions = geometry.positions();
        let (of_group, outputs) = (self.of_group(), self.outputs());
        let reads = self.numbers(batch, positions);
        let mut out = vec![0.0; batch * outputs * positions];
        let images = images_of_block(geometry);
        let block = |(block, out): (usize, &mut [f32])| {
            let first = block * images;
            let images = first..batch.min(first + images);
            for (group, matrix) in self.matrices.iter().enumerate() {
                let patches = geometry.patches(x, images.clone(), group);
                let reads = self.reads.as_ref().map(|streams| Reads {
                    draws: streams[group],
                    numbers: &reads[images.start * positions..images.end * positions],
                });
                let product = matrix
                    .multiply(&patches, reads)
                    .expect("arrays are attached when their converters are ready");
                let products = product.chunks_exact((positions * of_group).max(1));
                let planes = out.chunks_exact_mut((outputs * positions).max(1));
                for (planes, product) in planes.zip(products) {
                    let planes = &mut planes[group * of_group * positions..];
                    for (position, values) in product.chunks_exact(of_group).enumerate() {
                        for (output, value) in values.iter().enumerate() {
                            planes[output * positions + position] = *value;
                        }
                    }
                }
            }
        };
        out.par_chunks_mut((images * outputs * positions).max(1))
            .enumerate()
            .for_each(block);
        out
    }
}

/// Images whose patches are laid out at a time.
fn images_of_block(geometry: &Geometry) -> usize {
    let positions = geometry.positions().max(1);
    let in_cache = BLOCK / (positions * geometry.inputs()).max(1);
    in_cache.max(ROWS.div_ceil(positions))
}

fn blocks(geometry: &Geometry, batch: usize) -> impl Iterator<Item = Range<usize>> {
    let images = images_of_block(geometry);
    (0..batch)
        .step_by(images)
        .map(move |first| first..(first + images).min(batch))
}

/// Nothing is left half-written under these locks.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::nn::PaddingConfig2d;
    use burn::nn::conv::{Conv2dConfig, ConvTranspose2dConfig};
    use burn::tensor::Distribution;
    use crossburn_noise::ChipSeed;

    use super::*;
    use crate::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
    use crate::layer::{Direction, conv_transpose2d, conv2d, padded_axes};

    /// Cells that scatter, reads that scatter, columns of 5 arrays.
    fn hardware() -> Hardware {
        Hardware::from_toml(
            "device = { preset = \"pcm-mushroom\" }
             mapping = { weight_bits = 8 }
             array = { rows = 16, columns = 16, input = { bits = 8, slice_bits = 2 }, adc = { bits = 12, codes = \"symmetric\" } }",
        )
        .unwrap()
    }

    /// The same reads of the same chip, as the host and as a device computes them.
    fn agree<M: Module + Sync, const D: usize>(
        layer: M,
        weight: impl Fn(&M) -> &Param<Tensor<D>>,
        run: impl Fn(&M, Tensor<4>) -> Tensor<4>,
        geometry: Geometry,
    ) {
        let device = Device::flex();
        let [_, height, width] = geometry.size;
        let shape = [3, geometry.channels, height, width];
        let x = Tensor::<4>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let mapped = MappedNetwork::new(&layer, &hardware(), 3, |layer| {
            run(layer, x.clone());
        })
        .unwrap();
        let arrays = || {
            let fab = mapped.fab(Fidelity::Array).unwrap();
            let chip = fab.chip(ChipSeed::new(1, 2)).unwrap();
            let on_array = weight(&chip)
                .reparameterization::<OnArray>()
                .unwrap()
                .clone();
            let Role::Arrays(arrays) = on_array.role else {
                panic!("a chip multiplies on arrays");
            };
            arrays
        };
        let values: Vec<f32> = x.clone().into_data().try_to_vec().unwrap();
        let host = arrays().multiply(&geometry, &values, 3);
        let on_device = |most: usize| -> Vec<f32> {
            let found = arrays().multiply_on(&device, &geometry, x.clone(), most);
            found.into_data().try_to_vec().unwrap()
        };
        let found = on_device(ON_DEVICE);
        assert_eq!(found.len(), host.len());
        // Two images at a time, and less than one.
        for most in [
            2 * geometry.positions() * geometry.inputs(),
            7 * geometry.inputs(),
        ] {
            assert_eq!(on_device(most), found);
        }
        let largest = host.iter().fold(0.0f32, |a, x| a.max(x.abs()));
        // A sum that the device adds up in another order may be read as the next code.
        let other = |(a, b): &(&f32, &f32)| (*a - *b).abs() > 1e-5 * largest;
        let others = found.iter().zip(&host).filter(other).count();
        assert_eq!(others, 0, "of {}", host.len());
    }

    #[test]
    fn devices_compute_what_the_host_computes() {
        let device = Device::flex();
        let conv = Conv2dConfig::new([4, 6], [3, 2])
            .with_groups(2)
            .with_stride([2, 1])
            .with_padding(PaddingConfig2d::Explicit(1, 0, 2, 1))
            .init(&device);
        let forward = Geometry {
            channels: 4,
            outputs: 6,
            size: [1, 9, 8],
            kernel: [1, 3, 2],
            stride: [1, 2, 1],
            padding: [(0, 0), (1, 2), (0, 1)],
            dilation: [1; 3],
            groups: 2,
            direction: Direction::Forward,
        };
        agree(conv, |layer| &layer.weight, conv2d, forward);
        let up = ConvTranspose2dConfig::new([3, 5], [3, 3])
            .with_stride([2, 2])
            .with_padding([1, 1])
            .with_padding_out([1, 1])
            .init(&device);
        let transposed = Geometry {
            channels: 3,
            outputs: 5,
            size: [1, 5, 6],
            kernel: [1, 3, 3],
            stride: [1, 2, 2],
            padding: [(0, 0), (1, 1), (1, 1)],
            groups: 1,
            direction: Direction::Transposed {
                extra: padded_axes([1, 1], 0),
            },
            ..forward
        };
        agree(up, |layer| &layer.weight, conv_transpose2d, transposed);
    }
}
