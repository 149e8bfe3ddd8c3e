//! What is attached to a weight that lies on arrays.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::{Module, Param, Reparameterization};
use burn::tensor::{Tensor, TensorData};
use crossburn_noise::{Philox, WeightLayout, WeightShape};
use rayon::prelude::*;

use super::images::pass;
use super::{Geometry, LayerUse};
use crate::array::{CurrentProfile, ProgrammedMatrix, Reads};
use crate::quantize::InputMoments;
use crate::straight_through;

/// Values of inputs that are laid out as patches at a time, 1 MiB: small enough for fresh memory to cost little, large
/// enough for whole blocks of rows. Blocks go over the threads of the current pool.
const BLOCK: usize = 1 << 18;
/// Rows that a block has at least, so that the tables of bit-serial products pay.
const ROWS: usize = 128;

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
    profiles: Arc<Mutex<Vec<CurrentProfile>>>,
}

/// The arrays of one weight of one chip.
#[derive(Debug)]
struct Arrays {
    /// One per group.
    matrices: Vec<ProgrammedMatrix>,
    /// How the layer lays out its weight.
    layout: WeightLayout,
    /// Streams of read noise, one per group, where reads scatter.
    reads: Option<Vec<Philox>>,
    /// Which reads the next product is.
    turn: Mutex<Turn>,
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
        profiles: Arc<Mutex<Vec<CurrentProfile>>>,
    ) -> Self {
        Self::of(Role::Profile(Arc::new(Profile { matrices, profiles })))
    }

    /// Adds the moments of the inputs of a pass to `moments`, one per group.
    pub(crate) fn moments(moments: Arc<Mutex<Vec<InputMoments>>>) -> Self {
        Self::of(Role::Moments(moments))
    }

    /// Lets `matrices` multiply, one per group, for a layer that lays out its weight by `layout`.
    pub(crate) fn arrays(
        matrices: Vec<ProgrammedMatrix>,
        layout: WeightLayout,
        reads: Option<Vec<Philox>>,
    ) -> Self {
        Self::of(Role::Arrays(Arc::new(Arrays {
            matrices,
            layout,
            reads,
            turn: Mutex::default(),
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
        let tracked = input.device().is_autodiff();
        let seen = match tracked {
            true => input.clone().inner(),
            false => input.clone(),
        };
        let (device, dtype) = (seen.device(), seen.dtype());
        let x: Vec<f32> = seen
            .into_data()
            .try_into_vec_as()
            .expect("an input is a tensor of floats");
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
            Role::Arrays(arrays) => arrays,
        };
        let (out, outputs) = arrays.multiply(geometry, &x, batch);
        let size = geometry.output_size();
        let mut shape = [batch; R];
        shape[1] = outputs;
        shape[2..].copy_from_slice(&size[5 - R..]);
        let mut product = Tensor::<R>::from_data(TensorData::new(out, shape), (&device, dtype));
        if let Some(bias) = bias {
            let bias = if tracked { bias.inner() } else { bias };
            let mut shape = [1; R];
            shape[1] = outputs;
            product = product + bias.reshape(shape);
        }
        if tracked {
            let digital = digital(arrays.clipped(input, &x, self.input_scale.clone()));
            let product = Tensor::from_inner(product);
            let missed = (product.clone() - digital.clone()).detach();
            let growth = growth(weight.base()).reshape([1; R]);
            return straight_through(digital, product) + missed * growth;
        }
        product
    }
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
        let matrices = arrays.matrices.iter().map(|m| m.effective_weights());
        let rows = matrices.flat_map(|matrix| matrix.values).collect();
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
        x: &[f32],
        scale: Option<Tensor<1>>,
    ) -> Tensor<R> {
        let Some(matrix) = self.matrices.first() else {
            return input;
        };
        let (least, most) = matrix.input_limits();
        let (shape, device) = (input.dims(), input.device());
        let clipped = match x.iter().all(|x| (least..=most).contains(x)) {
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

    /// The product `[batch, outputs, positions]`, and the number of outputs.
    fn multiply(&self, geometry: &Geometry, x: &[f32], batch: usize) -> (Vec<f32>, usize) {
        let positions = geometry.positions();
        let of_group = self.matrices.first().map_or(0, ProgrammedMatrix::outputs);
        let outputs = of_group * self.matrices.len();
        let reads = match &self.reads {
            Some(_) => unpoisoned(&self.turn).numbers(batch, positions),
            None => Vec::new(),
        };
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
        (out, outputs)
    }
}

/// Images whose patches are laid out at a time.
fn images_of_block(geometry: &Geometry) -> usize {
    let positions = geometry.positions().max(1);
    let in_cache = BLOCK / (positions * geometry.inputs()).max(1);
    in_cache.max(ROWS.div_ceil(positions))
}

fn blocks(geometry: &Geometry, batch: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let images = images_of_block(geometry);
    (0..batch)
        .step_by(images)
        .map(move |first| first..(first + images).min(batch))
}

/// Nothing is left half-written under these locks.
fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
