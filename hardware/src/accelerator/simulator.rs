//! An accelerator that runs one network.

use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

use super::compressed::PackedWeights;
use super::multiplier::{CodeSlices, LANES, WeightSlices, code_slices, multiply_add};
use super::plan::LayerPlan;
use super::reference::finished;
use super::{AcceleratorConfig, IntegerLayer, IntegerNetwork, LayerCounts, WeightIndex};
use crate::HardwareError;

/// How the array treats absent weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// It skips them by their index.
    Sparse,
    /// It multiplies by zero: the baseline without an index. Of 1 bit no weight is zero, so an array without an index could not hold pruned
    /// ones: only the cycles say something there.
    Dense,
}

/// An accelerator that runs one network, to the bit and to the cycle.
///
/// The weights are packed, unpacked as the array would, and shared out to processing elements once. Every processing
/// element then adds the products of its own weights, made of 2-bit slices, from the scratch pad of its SPE. The results equal
/// [`IntegerNetwork::evaluate`] to the bit. How many cycles that takes is known before any signal comes ([`counts`](Self::counts)).
///
/// ```
/// # use crossburn_hardware::accelerator::{IntegerLayer, LayerOutput, SignalFormat};
/// use crossburn_hardware::accelerator::{
///     AcceleratorConfig, Execution, IntegerNetwork, Simulator, Sparsity,
/// };
///
/// # let layer = IntegerLayer {
/// #     name: "dense".into(), shape: [1, 1, 4], weight_bits: 2, weights: vec![1, 0, -1, 0],
/// #     sparsity: Sparsity::Balanced { kept: 2, group: 4 }, kept: vec![true, false, true, false], bias: vec![5],
/// #     stride: 1, padding: [0, 0], output: LayerOutput::Results { scale: vec![1.0] },
/// # };
/// # let signal = SignalFormat { channels: 1, length: 4, exponent: 0 };
/// // One output of four inputs, of which 2:4 sparsity keeps two.
/// let network = IntegerNetwork::new(signal, vec![layer])?;
/// let config = AcceleratorConfig::preset("sparse-40nm")?;
/// let sparse = Simulator::new(&network, &config, Execution::Sparse)?;
/// let dense = Simulator::new(&network, &config, Execution::Dense)?;
/// let signal = [10, 20, 30, 40];
/// assert_eq!(sparse.evaluate(&signal)?, network.evaluate(&signal)?);
/// assert_eq!((sparse.cycles(), dense.cycles()), (2, 4));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Simulator {
    network: IntegerNetwork,
    time_steps: usize,
    layers: Vec<SimulatedLayer>,
    counts: Vec<LayerCounts>,
}

/// The work of a layer with its weights in slices.
#[derive(Clone, Debug)]
struct SimulatedLayer {
    plan: LayerPlan,
    slices: Vec<Vec<WeightSlices>>,
}

impl Simulator {
    /// `network` on an accelerator.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a description that cannot be; [`HardwareError::Conflict`] for a network that its memories
    /// do not hold, and, in [`HardwareError::Layer`], for scratch pads that do not hold a group of weights.
    pub fn new(
        network: &IntegerNetwork,
        config: &AcceleratorConfig,
        execution: Execution,
    ) -> Result<Self, HardwareError> {
        config.check()?;
        let (mut layers, mut counts) = (Vec::new(), Vec::new());
        for (number, layer) in network.layers().iter().enumerate() {
            let packed = PackedWeights::new(layer);
            let stored = match execution {
                Execution::Sparse => (packed.index(), packed.bits()),
                Execution::Dense => (
                    WeightIndex::Dense,
                    PackedWeights::size(layer, WeightIndex::Dense),
                ),
            };
            let (length, input_bits) = (network.lengths()[number], network.input_bits(number));
            let plan = LayerPlan::new(layer, &packed, &config.array, execution);
            let plan = plan.map_err(|error| layer.named(error))?;
            counts.push(LayerCounts::new(
                layer,
                input_bits,
                length,
                stored,
                &plan,
                &config.array,
            )?);
            let slices = |weights: &Vec<(usize, i8)>| {
                weights
                    .iter()
                    .map(|(_, weight)| WeightSlices::new(*weight, layer.weight_bits))
                    .collect()
            };
            layers.push(SimulatedLayer {
                slices: plan.weights.iter().map(slices).collect(),
                plan,
            });
        }
        check_memory(network, &counts, config)?;
        Ok(Self {
            network: network.clone(),
            time_steps: config.array.time_steps(),
            layers,
            counts,
        })
    }

    /// Counts of each layer for one inference.
    pub fn counts(&self) -> &[LayerCounts] {
        &self.counts
    }

    /// Cycles of one inference.
    pub fn cycles(&self) -> u64 {
        self.counts.iter().map(LayerCounts::total_cycles).sum()
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
        let mut codes: Vec<i32> = signal.iter().map(|code| i32::from(*code)).collect();
        for ((layer, simulated), steps) in self
            .network
            .layers()
            .iter()
            .zip(&self.layers)
            .zip(self.network.lengths())
        {
            let positions = layer.positions(*steps)?;
            let memory = padded(layer, &codes, *steps);
            let sums = Arch::new().dispatch(Sums {
                layer,
                work: simulated,
                memory: &memory,
                positions,
                time_steps: self.time_steps,
            });
            codes = finished(layer, sums, positions);
        }
        Ok(codes)
    }
}

/// Sums of every output channel of a layer at every position, tile by tile.
struct Sums<'a> {
    layer: &'a IntegerLayer,
    work: &'a SimulatedLayer,
    /// Each channel with its padding.
    memory: &'a [Vec<i32>],
    positions: usize,
    time_steps: usize,
}

impl WithSimd for Sums<'_> {
    type Output = Vec<i32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<i32> {
        let Self {
            layer,
            work,
            positions,
            ..
        } = self;
        // A description may ask for more time steps than there are positions.
        let time_steps = self.time_steps.min(positions);
        let bias = layer.bias.iter();
        let mut sums: Vec<i32> = bias
            .flat_map(|bias| std::iter::repeat_n(*bias, positions))
            .collect();
        let lanes = time_steps.div_ceil(LANES);
        let mut pad = vec![CodeSlices::default(); layer.reduction() * lanes];
        for first in (0..positions).step_by(time_steps) {
            let steps = time_steps.min(positions - first);
            fill(&mut pad, layer, self.memory, first, steps);
            for block in &work.plan.blocks {
                for share in block.passes.iter().flat_map(|pass| &pass.shares) {
                    for (output, weights) in block.outputs.clone().zip(share) {
                        let places = &work.plan.weights[output][weights.clone()];
                        let weights = &work.slices[output][weights.clone()];
                        let start = output * positions + first;
                        let sums = sums[start..start + steps].chunks_mut(LANES);
                        for (lane, sums) in sums.enumerate() {
                            let mut accumulators = [0; LANES];
                            for ((place, _), weight) in places.iter().zip(weights) {
                                multiply_add(weight, &pad[place * lanes + lane], &mut accumulators);
                            }
                            sums.iter_mut()
                                .zip(accumulators)
                                .for_each(|(sum, more)| *sum += more);
                        }
                    }
                }
            }
        }
        sums
    }
}

/// The codes that the scratch pads of `steps` SPEs hold for the windows from `first` on: `[place, steps / LANES]`. What lies
/// beyond the last step is left as it is, and its sums are dropped.
#[inline(always)]
fn fill(
    pad: &mut [CodeSlices],
    layer: &IntegerLayer,
    memory: &[Vec<i32>],
    first: usize,
    steps: usize,
) {
    let lanes = pad.len() / layer.reduction();
    let taps = memory
        .iter()
        .flat_map(|channel| (0..layer.kernel()).map(move |tap| (channel, tap)));
    for (pad, (channel, tap)) in pad.chunks_exact_mut(lanes).zip(taps) {
        let codes = channel[first * layer.stride + tap..]
            .iter()
            .step_by(layer.stride);
        for (step, code) in codes.take(steps).enumerate() {
            for (number, slice) in code_slices(*code).into_iter().enumerate() {
                pad[step / LANES][number][step % LANES] = slice;
            }
        }
    }
}

/// Each channel with the zeros of its padding.
fn padded(layer: &IntegerLayer, codes: &[i32], steps: usize) -> Vec<Vec<i32>> {
    let [before, after] = layer.padding;
    let channels = codes.chunks_exact(steps);
    channels
        .map(|channel| {
            let mut padded = vec![0; before];
            padded.extend_from_slice(channel);
            padded.resize(before + steps + after, 0);
            padded
        })
        .collect()
}

/// # Errors
/// [`HardwareError::Conflict`] for weights or activations that the memories do not hold.
fn check_memory(
    network: &IntegerNetwork,
    counts: &[LayerCounts],
    config: &AcceleratorConfig,
) -> Result<(), HardwareError> {
    let bits: u64 = counts
        .iter()
        .map(|counts| counts.weight_bits_stored + counts.parameter_bits)
        .sum();
    let bytes = bits.div_ceil(8);
    if bytes > config.memory.weight_bytes as u64 {
        return Err(HardwareError::conflict(
            format!(
                "weights, biases and rescales take {bytes} bytes, memory.weight_bytes = {}",
                config.memory.weight_bytes
            ),
            "give the weights fewer bits, keep fewer of them, or enlarge the memory",
        ));
    }
    for (number, layer) in network.layers().iter().enumerate() {
        let [before, after] = [number, number + 1].map(|at| network.lengths()[at]);
        // Results leave the accelerator.
        let outputs = if number + 1 == counts.len() {
            0
        } else {
            layer.outputs()
        };
        let bytes = layer.inputs() * before + outputs * after;
        if bytes > config.memory.activation_bytes {
            return Err(layer.named(HardwareError::conflict(
                format!(
                    "activations before and after it take {bytes} bytes, memory.activation_bytes = {}",
                    config.memory.activation_bytes
                ),
                "use fewer channels or larger strides, or enlarge the memory",
            )));
        }
    }
    Ok(())
}
