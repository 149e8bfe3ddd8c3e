//! Counts of what the accelerator does during one inference.

use serde::{Deserialize, Serialize};

use super::plan::{Block, LayerPlan};
use super::{IntegerLayer, LayerOutput, PeArray, WeightIndex};
use crate::HardwareError;

/// Counts of one layer for one inference. They depend on the weights' places only, never on the signal.
///
/// ```text
/// cycles = Σ over tiles, Σ over passes of max over core elements e and processing elements o of ceil(n[o, e] / weights per cycle)
/// ```
///
/// with n the weights of a processing element in a pass. For a dense layer whose share of the reduction axis fits the scratch pads, and one weight per cycle, that is
/// `ceil(inputs / core elements) kernel ceil(outputs / 16) ceil(positions / 16)` with the organisation of the published chip.
///
/// # Left out
/// Fills of scratch pads, rescaling and writing of codes, which overlap with the convolution of the next tile or pass, and the cycles that
/// fill and drain a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerCounts {
    /// Name of the layer.
    pub name: String,
    /// Bits of a weight.
    pub weight_bits: u8,
    /// Bits of a code that comes in.
    pub input_bits: u8,
    /// Multiplications if no weight were absent.
    pub dense_macs: u64,
    /// Multiplications that are carried out.
    pub executed_macs: u64,
    /// Cycles of the convolution.
    pub cycles: u64,
    /// The part of these cycles by which the busiest core element takes longer than if its weights were spread evenly over
    /// its processing elements. Balanced sparsity has none.
    pub stall_cycles: u64,
    /// Cycles of pooling after the convolution: its windows on all mixed processing elements, a comparison per cycle.
    pub pool_cycles: u64,
    /// Processing elements times cycles of the convolution.
    pub element_cycles: u64,
    /// The part of these cycles in which an element multiplies.
    pub busy_cycles: u64,
    /// Codes that SPEs read from their scratch pads, one read for all processing elements of the SPE. As many are written to them.
    pub scratch_pad_reads: u64,
    /// How the weights are stored.
    pub weight_index: WeightIndex,
    /// Bits of the stored weights with their index.
    pub weight_bits_stored: u64,
    /// Bits of biases and rescales.
    pub parameter_bits: u64,
    /// Bits read from the memory of weights: the stored weights once for each tile of time steps, the rest once.
    pub weight_memory_reads: u64,
    /// Codes read from the memory of activations: the samples that a tile needs, once for each pass. Padding counts.
    pub activation_reads: u64,
    /// Codes written to the memory of activations.
    pub activation_writes: u64,
    /// Sums that become codes.
    pub rescales: u64,
    /// Comparisons of pooling.
    pub compares: u64,
}

impl LayerCounts {
    /// All cycles of the layer.
    pub fn total_cycles(&self) -> u64 {
        self.cycles + self.pool_cycles
    }

    /// The part of processing elements that multiply, while the layer convolves; 0 of a layer without kept weights.
    pub fn utilisation(&self) -> f64 {
        self.busy_cycles as f64 / self.element_cycles.max(1) as f64
    }

    /// # Errors
    /// [`HardwareError::Conflict`] for a signal that is too short.
    pub(super) fn new(
        layer: &IntegerLayer,
        input_bits: u8,
        length: usize,
        (weight_index, weight_bits_stored): (WeightIndex, u64),
        plan: &LayerPlan,
        array: &PeArray,
    ) -> Result<Self, HardwareError> {
        let positions = layer.positions(length)?;
        let time_steps = array.time_steps();
        let time_tiles = positions.div_ceil(time_steps) as u64;
        let per_cycle = array.weights_per_cycle(layer.weight_bits);
        let works: Vec<Work> = plan
            .blocks
            .iter()
            .map(|block| Work::of(block, per_cycle))
            .collect();
        let sum = |count: fn(&Work) -> u64| works.iter().map(count).sum::<u64>();
        let executed: u64 = plan
            .weights
            .iter()
            .map(|weights| weights.len() as u64)
            .sum();
        let cycles = sum(|work| work.cycles) * time_tiles;
        let mut counts = Self {
            name: layer.name.clone(),
            weight_bits: layer.weight_bits,
            input_bits,
            dense_macs: (layer.weights.len() * positions) as u64,
            executed_macs: executed * positions as u64,
            cycles,
            stall_cycles: sum(|work| work.stall_cycles) * time_tiles,
            pool_cycles: 0,
            element_cycles: cycles * array.processing_elements() as u64,
            busy_cycles: sum(|work| work.busy_cycles) * positions as u64,
            scratch_pad_reads: 0,
            weight_index,
            weight_bits_stored,
            parameter_bits: layer.parameter_bits(),
            weight_memory_reads: 0,
            activation_reads: 0,
            activation_writes: 0,
            rescales: 0,
            compares: 0,
        };
        let last = positions - (positions - 1) / time_steps * time_steps;
        for needed in plan
            .blocks
            .iter()
            .flat_map(|block| needed(block, plan, layer.reduction()))
        {
            counts.scratch_pad_reads += (needed.len() * positions) as u64;
            let samples = |steps| samples(&needed, layer.kernel(), layer.stride, steps);
            counts.activation_reads +=
                (time_tiles - 1) * samples(time_steps.min(positions)) + samples(last);
        }
        if let LayerOutput::Activations { pool, .. } = &layer.output {
            let steps = layer.output_length(length)?;
            let pooled = (layer.outputs() * steps) as u64;
            counts.rescales = (layer.outputs() * positions) as u64;
            counts.activation_writes = pooled;
            if let Some(pool) = pool {
                let mixed = (array.core_elements * time_steps * array.mixed_pes) as u64;
                let per_window = pool.kernel as u64 - 1;
                counts.compares = pooled * per_window;
                counts.pool_cycles = pooled.div_ceil(mixed) * per_window;
            }
        }
        counts.weight_memory_reads = counts.weight_bits_stored * time_tiles + counts.parameter_bits;
        Ok(counts)
    }
}

/// The work of a block for one tile.
struct Work {
    cycles: u64,
    stall_cycles: u64,
    /// Per time step.
    busy_cycles: u64,
}

impl Work {
    fn of(block: &Block, per_cycle: usize) -> Self {
        let mut work = Self {
            cycles: 0,
            stall_cycles: 0,
            busy_cycles: 0,
        };
        for pass in &block.passes {
            let (mut longest, mut even) = (0, 0);
            for share in &pass.shares {
                let busy = share
                    .iter()
                    .map(|weights| weights.len().div_ceil(per_cycle) as u64);
                let total: u64 = busy.clone().sum();
                longest = longest.max(busy.max().unwrap_or(0));
                even = even.max(total.div_ceil(share.len() as u64));
                work.busy_cycles += total;
            }
            work.cycles += longest;
            work.stall_cycles += longest - even;
        }
        work
    }
}

/// For each pass and core element: the places of the reduction axis that a weight of the block needs, in order.
fn needed<'a>(
    block: &'a Block,
    plan: &'a LayerPlan,
    reduction: usize,
) -> impl Iterator<Item = Vec<usize>> + 'a {
    let shares = block.passes.iter().flat_map(|pass| &pass.shares);
    shares.map(move |share| {
        let mut marked = vec![false; reduction];
        for (output, weights) in block.outputs.clone().zip(share) {
            for (place, _) in &plan.weights[output][weights.clone()] {
                marked[*place] = true;
            }
        }
        (0..reduction).filter(|place| marked[*place]).collect()
    })
}

/// Samples of the signal that `steps` neighbouring windows need at these places.
fn samples(places: &[usize], kernel: usize, stride: usize, steps: usize) -> u64 {
    let channels = places.chunk_by(|a, b| a / kernel == b / kernel);
    let samples = channels.map(|places| {
        let mut marked = vec![false; (steps - 1) * stride + kernel];
        for place in places {
            (0..steps).for_each(|step| marked[step * stride + place % kernel] = true);
        }
        marked.into_iter().filter(|marked| *marked).count() as u64
    });
    samples.sum()
}
