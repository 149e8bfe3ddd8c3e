//! Integer networks on the processor, fast.
//!
//! Codes lie with the channels of a time step next to each other, so the window of a convolution is one slice and nothing is
//! copied. Two of its codes at a time meet the weights of eight output channels: AVX2 multiplies and adds 16 numbers of 16 bits in one
//! instruction, and the plain loops beside it are for every other processor.

use pulp::{Arch, Simd, WithSimd};

use super::{IntegerLayer, IntegerNetwork, LayerOutput, Pool};
use crate::HardwareError;

/// Output channels of a block.
const LANES: usize = 8;

/// Windows that share a load of weights.
const WINDOWS: usize = 4;

/// An integer network prepared for many signals; its results equal [`IntegerNetwork::evaluate`] to the bit.
///
/// The evaluation of one signal runs on one thread: several signals may be evaluated side by side.
///
/// ```
/// # use crossburn_hardware::accelerator::{IntegerLayer, LayerOutput, SignalFormat, Sparsity};
/// use crossburn_hardware::accelerator::{FastNetwork, IntegerNetwork};
///
/// # let layer = IntegerLayer {
/// #     name: "dense".into(), shape: [1, 1, 3], weight_bits: 8, weights: vec![1, -2, 3], sparsity: Sparsity::Dense,
/// #     kept: vec![], bias: vec![7], stride: 1, padding: [0, 0], output: LayerOutput::Results { scale: vec![1.0] },
/// # };
/// # let signal = SignalFormat { channels: 1, length: 3, exponent: 0 };
/// let network = IntegerNetwork::new(signal, vec![layer])?;
/// let fast = FastNetwork::new(&network);
/// assert_eq!(fast.evaluate(&[10, 20, 30])?, network.evaluate(&[10, 20, 30])?);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FastNetwork {
    network: IntegerNetwork,
    layers: Vec<FastLayer>,
    arch: Arch,
}

/// A layer with its weights in the order in which they are read.
#[derive(Clone, Debug)]
struct FastLayer {
    blocks: Vec<Block>,
    inputs: usize,
    outputs: usize,
    stride: usize,
    /// Pairs of codes of a window.
    pairs: usize,
    largest: u64,
    pool: Option<Pool>,
}

/// Eight output channels; those that the layer does not have give 0.
#[derive(Clone, Debug)]
struct Block {
    /// For each pair of codes: the two weights of each lane.
    weights: Vec<[[i16; 2]; LANES]>,
    bias: [i32; LANES],
    multiplier: [u64; LANES],
    round: [u64; LANES],
    shift: [u64; LANES],
}

impl FastNetwork {
    /// `network`, prepared for this processor.
    pub fn new(network: &IntegerNetwork) -> Self {
        Self {
            layers: network.layers().iter().map(FastLayer::new).collect(),
            network: network.clone(),
            arch: Arch::new(),
        }
    }

    /// The sums of the last layer for one signal.
    ///
    /// # Shapes
    /// `[channels, length]` → `[results, steps]`, row-major.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for another number of values than the network takes.
    pub fn evaluate(&self, signal: &[i8]) -> Result<Vec<i32>, HardwareError> {
        self.network.check_signal(signal.len())?;
        let mut results = Vec::new();
        let mut codes = Rows::new(&self.network, 0);
        codes.fill_transposed(signal);
        for (number, layer) in self.layers.iter().enumerate() {
            if number + 1 == self.layers.len() {
                let [channels, steps] = self.network.results();
                results = vec![0; channels * steps];
                let take = Take::Results {
                    results: &mut results,
                    steps,
                };
                run(
                    self.arch,
                    Pass {
                        layer,
                        codes: &codes,
                        take,
                    },
                );
            } else {
                let positions =
                    self.network.layers()[number].positions(self.network.lengths()[number])?;
                let mut next = Rows::new(&self.network, number + 1);
                match layer.pool {
                    None => run(
                        self.arch,
                        Pass {
                            layer,
                            codes: &codes,
                            take: Take::Codes(&mut next),
                        },
                    ),
                    Some(pool) => {
                        let mut unpooled = Rows::empty(positions, layer.outputs, [0, 0]);
                        run(
                            self.arch,
                            Pass {
                                layer,
                                codes: &codes,
                                take: Take::Codes(&mut unpooled),
                            },
                        );
                        unpooled.pool(pool, &mut next);
                    }
                }
                codes = next;
            }
        }
        Ok(results)
    }
}

/// Codes of a signal: `[steps, channels]`, between the zeros of its padding.
struct Rows {
    codes: Vec<i16>,
    steps: usize,
    channels: usize,
    before: usize,
}

impl Rows {
    /// Zeros for the input of layer `number`.
    fn new(network: &IntegerNetwork, number: usize) -> Self {
        let layer = &network.layers()[number];
        Self::empty(network.lengths()[number], layer.inputs(), layer.padding)
    }

    fn empty(steps: usize, channels: usize, [before, after]: [usize; 2]) -> Self {
        // A block writes all of its lanes, and the last pair of a window may reach one code further.
        let count = (before + steps + after) * channels + LANES;
        Self {
            codes: vec![0; count],
            steps,
            channels,
            before,
        }
    }

    fn rows_mut(&mut self) -> &mut [i16] {
        let start = self.before * self.channels;
        &mut self.codes[start..start + self.steps * self.channels]
    }

    /// The largest code of every window of time steps and channel.
    fn pool(&self, pool: Pool, next: &mut Self) {
        let channels = self.channels;
        for (number, row) in next.rows_mut().chunks_exact_mut(channels).enumerate() {
            let start = number * pool.stride * channels;
            for codes in self.codes[start..start + pool.kernel * channels].chunks_exact(channels) {
                row.iter_mut()
                    .zip(codes)
                    .for_each(|(most, code)| *most = (*most).max(*code));
            }
        }
    }

    fn fill_transposed(&mut self, signal: &[i8]) {
        let (steps, channels) = (self.steps, self.channels);
        let rows = self.rows_mut();
        for (channel, codes) in signal.chunks_exact(steps).enumerate() {
            let places = rows[channel..].iter_mut().step_by(channels);
            places
                .zip(codes)
                .for_each(|(place, code)| *place = i16::from(*code));
        }
    }
}

impl FastLayer {
    fn new(layer: &IntegerLayer) -> Self {
        let firsts = (0..layer.outputs()).step_by(LANES);
        let (largest, pool) = match &layer.output {
            LayerOutput::Activations { bits, pool, .. } => ((1 << bits) - 1, *pool),
            LayerOutput::Results { .. } => (0, None),
        };
        Self {
            blocks: firsts.map(|first| Block::new(layer, first)).collect(),
            inputs: layer.inputs(),
            outputs: layer.outputs(),
            stride: layer.stride,
            pairs: layer.reduction().div_ceil(2),
            largest,
            pool,
        }
    }

    /// The windows of `N` positions from `position` on, in pairs of codes.
    #[inline(always)]
    fn windows<'a, const N: usize>(&self, codes: &'a Rows, position: usize) -> [&'a [[i16; 2]]; N] {
        std::array::from_fn(|number| {
            let start = (position + number) * self.stride * self.inputs;
            codes.codes[start..start + 2 * self.pairs].as_chunks().0
        })
    }

    /// Hands the sums of each position and block to `take`: positions in order, but for the four of a tile, which come one after the
    /// other for the last block first and for the first block last.
    #[inline(always)]
    fn each_sum<P: Pairs>(
        &self,
        pairs: P,
        codes: &Rows,
        positions: usize,
        mut take: impl FnMut(usize, usize, &Block, &[i32; LANES]),
    ) {
        let mut position = 0;
        while position + WINDOWS <= positions {
            let windows = self.windows::<WINDOWS>(codes, position);
            for (number, block) in self.blocks.iter().enumerate().rev() {
                for (window, sums) in block.sums(pairs, windows).iter().enumerate() {
                    take(position + window, number, block, sums);
                }
            }
            position += WINDOWS;
        }
        for position in position..positions {
            let windows = self.windows::<1>(codes, position);
            for (number, block) in self.blocks.iter().enumerate().rev() {
                let [sums] = block.sums(pairs, windows);
                take(position, number, block, &sums);
            }
        }
    }
}

impl Block {
    fn new(layer: &IntegerLayer, first: usize) -> Self {
        let (inputs, kernel) = (layer.inputs(), layer.kernel());
        let outputs = (layer.outputs() - first).min(LANES);
        let mut block = Self {
            weights: vec![[[0; 2]; LANES]; layer.reduction().div_ceil(2)],
            bias: [0; LANES],
            multiplier: [0; LANES],
            round: [0; LANES],
            shift: [0; LANES],
        };
        for lane in 0..outputs {
            let output = first + lane;
            block.bias[lane] = layer.bias[output];
            for (place, weight) in layer.row(output).iter().enumerate() {
                // In a window the channels of a time step follow each other.
                let (input, tap) = (place / kernel, place % kernel);
                let place = tap * inputs + input;
                block.weights[place / 2][lane][place % 2] = i16::from(*weight);
            }
            if let LayerOutput::Activations { rescale, .. } = &layer.output {
                let rescale = rescale[output];
                block.multiplier[lane] = u64::from(rescale.multiplier);
                block.round[lane] = rescale.round() as u64;
                block.shift[lane] = u64::from(rescale.shift);
            }
        }
        block
    }

    #[inline(always)]
    fn sums<P: Pairs, const N: usize>(
        &self,
        pairs: P,
        windows: [&[[i16; 2]]; N],
    ) -> [[i32; LANES]; N] {
        let mut sums = [self.bias; N];
        let windows = windows.map(|window| &window[..self.weights.len()]);
        for (number, weights) in self.weights.iter().enumerate() {
            for (sums, window) in sums.iter_mut().zip(windows) {
                *sums = pairs.multiply_add(*sums, weights, window[number]);
            }
        }
        sums
    }

    /// The codes of `sums`. A sum below zero gives 0, as it does after the rescale, whose factor is not negative.
    #[inline(always)]
    fn codes(&self, sums: &[i32; LANES], largest: u64) -> [i16; LANES] {
        std::array::from_fn(|lane| {
            let product = sums[lane].max(0) as u64 * self.multiplier[lane];
            ((product + self.round[lane]) >> self.shift[lane]).min(largest) as i16
        })
    }
}

/// Products of two codes with the weights of eight output channels.
trait Pairs: Copy {
    fn multiply_add(
        self,
        sums: [i32; LANES],
        weights: &[[i16; 2]; LANES],
        codes: [i16; 2],
    ) -> [i32; LANES];
}

#[derive(Clone, Copy)]
struct Plain;

impl Pairs for Plain {
    #[inline(always)]
    fn multiply_add(
        self,
        sums: [i32; LANES],
        weights: &[[i16; 2]; LANES],
        codes: [i16; 2],
    ) -> [i32; LANES] {
        let [first, second] = codes.map(i32::from);
        std::array::from_fn(|lane| {
            let [a, b] = weights[lane].map(i32::from);
            sums[lane] + a * first + b * second
        })
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
impl Pairs for Avx2 {
    #[inline(always)]
    fn multiply_add(
        self,
        sums: [i32; LANES],
        weights: &[[i16; 2]; LANES],
        codes: [i16; 2],
    ) -> [i32; LANES] {
        let codes = self.0.avx._mm256_set1_epi32(pulp::cast(codes));
        let products = self.0.avx2._mm256_madd_epi16(pulp::cast(*weights), codes);
        pulp::cast(self.0.avx2._mm256_add_epi32(pulp::cast(sums), products))
    }
}

/// A layer's pass over its codes.
struct Pass<'a> {
    layer: &'a FastLayer,
    codes: &'a Rows,
    take: Take<'a>,
}

/// How the sums become the output.
enum Take<'a> {
    /// Codes of the next layer, or codes that are pooled.
    Codes(&'a mut Rows),
    /// Results of the network, `[channels, steps]`.
    Results {
        results: &'a mut [i32],
        steps: usize,
    },
}

/// The pass, compiled for the instructions of the processor.
fn run(arch: Arch, pass: Pass<'_>) {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => arch.dispatch(On(Avx2(simd), pass)),
        #[cfg(target_arch = "x86_64")]
        Arch::V4(simd) => arch.dispatch(On(Avx2(*simd), pass)),
        _ => arch.dispatch(On(Plain, pass)),
    }
}

struct On<'a, P>(P, Pass<'a>);

impl<P: Pairs> WithSimd for On<'_, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(pairs, Pass { layer, codes, take }) = self;
        match take {
            Take::Codes(next) => {
                let (start, channels) = (next.before * next.channels, next.channels);
                // Lanes that the layer does not have lie in the last block, and their zeros fall on the first block of later
                // positions, which is written after them.
                layer.each_sum(pairs, codes, next.steps, |position, number, block, sums| {
                    let at = start + position * channels + number * LANES;
                    next.codes[at..at + LANES].copy_from_slice(&block.codes(sums, layer.largest));
                });
            }
            Take::Results { results, steps } => {
                layer.each_sum(pairs, codes, steps, |position, number, _, sums| {
                    for (lane, sum) in sums.iter().take(layer.outputs - number * LANES).enumerate()
                    {
                        results[(number * LANES + lane) * steps + position] = *sum;
                    }
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::accelerator::testing::{networks, signal};
    use proptest::prelude::*;

    proptest! {
        /// Processors with AVX2 never take the plain loops by themselves.
        #[test]
        fn plain_loops_give_the_bits_of_the_definition(network in networks(), seed: u64) {
            let fast = FastNetwork {
                arch: Arch::Scalar,
                ..FastNetwork::new(&network)
            };
            let signal = signal(&network, seed);
            prop_assert_eq!(fast.evaluate(&signal).unwrap(), network.evaluate(&signal).unwrap());
        }
    }
}
