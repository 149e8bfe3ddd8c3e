//! Which processing element works on which weights.
//!
//! A layer is cut into tiles of output channels × time steps. In a tile, processing element p of every SPE has output channel
//! p, and SPE s has time step s. The reduction axis is shared out among the core elements, which work on different input
//! channels at the same time, and is cut into passes where the scratch pads cannot hold a whole share.

use std::ops::Range;

use super::compressed::PackedWeights;
use super::{Execution, IntegerLayer, PeArray, Sparsity};
use crate::HardwareError;

/// A weight with its place on the reduction axis.
pub(super) type PlacedWeight = (usize, i8);

/// The work of one layer.
#[derive(Clone, Debug)]
pub(super) struct LayerPlan {
    /// Weights of each output channel in the order in which they are worked on.
    pub(super) weights: Vec<Vec<PlacedWeight>>,
    /// Output channels that are worked on together, one after the other.
    pub(super) blocks: Vec<Block>,
}

/// Output channels that the processing elements of an SPE work on together.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) outputs: Range<usize>,
    pub(super) passes: Vec<Pass>,
}

/// Work between two fills of the scratch pads, after which the processing elements wait for each other.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// For each core element and each output channel of the block: which of the channel's weights.
    pub(super) shares: Vec<Vec<Range<usize>>>,
}

impl LayerPlan {
    /// # Errors
    /// [`HardwareError::Conflict`] for scratch pads that do not hold one group of weights.
    pub(super) fn new(
        layer: &IntegerLayer,
        packed: &PackedWeights,
        array: &PeArray,
        execution: Execution,
    ) -> Result<Self, HardwareError> {
        let weights = match execution {
            Execution::Sparse => packed.kept_weights()?,
            Execution::Dense => (0..layer.outputs())
                .map(|output| layer.row(output).iter().copied().enumerate().collect())
                .collect(),
        };
        let split = Split::new(layer, array, execution)?;
        let channels = array.output_channels();
        let blocks = (0..layer.outputs()).step_by(channels).map(|first| {
            let outputs = first..(first + channels).min(layer.outputs());
            let passes = split
                .passes()
                .map(|positions| split.pass(&weights[outputs.clone()], positions));
            Block {
                passes: passes.collect(),
                outputs,
            }
        });
        Ok(Self {
            blocks: blocks.collect(),
            weights,
        })
    }
}

/// How the reduction axis is shared out.
struct Split {
    reduction: usize,
    /// Positions of a pass.
    pass: usize,
    /// Input channels before each core element, and all of them at the end.
    channels: Vec<usize>,
    /// Whether every output channel keeps the same number of weights in a pass.
    balanced: bool,
}

impl Split {
    fn new(
        layer: &IntegerLayer,
        array: &PeArray,
        execution: Execution,
    ) -> Result<Self, HardwareError> {
        let (inputs, elements) = (layer.inputs(), array.core_elements);
        let share = inputs.div_ceil(elements);
        let channels = (0..=elements)
            .map(|element| (element * share).min(inputs))
            .collect();
        let group = match (execution, layer.sparsity) {
            (Execution::Sparse, Sparsity::Balanced { group, .. }) => Some(group),
            _ => None,
        };
        let mut split = Self {
            reduction: layer.reduction(),
            pass: 0,
            channels,
            balanced: group.is_some(),
        };
        let group = group.unwrap_or(1);
        let whole = split.reduction.div_ceil(group);
        // No share is larger than that of the first core element, so no pass is longer than this.
        let most = (array.scratch_pad * inputs / share / group).clamp(1, whole);
        let fitting = (1..=most).rev().map(|groups| groups * group);
        let fitting = fitting
            .into_iter()
            .find(|pass| split.largest_window(*pass, group) <= array.scratch_pad);
        split.pass = fitting.ok_or_else(|| {
            HardwareError::conflict(
                format!(
                    "array.scratch_pad = {} holds less than a group of {} weights",
                    array.scratch_pad,
                    group.min(split.reduction)
                ),
                "enlarge the scratch pads, or prune in smaller groups",
            )
        })?;
        Ok(split)
    }

    /// The codes that the scratch pad of any core element holds in a pass of `pass` positions: whole groups.
    fn largest_window(&self, pass: usize, group: usize) -> usize {
        let pass = pass.min(self.reduction);
        let bounds: Vec<usize> = (0..self.channels.len())
            .map(|element| self.part(pass, element))
            .collect();
        let windows = bounds.windows(2).map(|bounds| {
            let (start, end) = (
                bounds[0] / group * group,
                bounds[1].next_multiple_of(group).min(pass),
            );
            if bounds[0] < bounds[1] {
                end - start
            } else {
                0
            }
        });
        windows.max().unwrap_or(0)
    }

    /// The part of `count` that belongs to the core elements before `element`, by their input channels.
    fn part(&self, count: usize, element: usize) -> usize {
        let all = self.channels.last().copied().unwrap_or(1);
        (count * self.channels[element]).div_ceil(all)
    }

    fn passes(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let starts = (0..self.reduction).step_by(self.pass);
        starts.map(|start| start..(start + self.pass).min(self.reduction))
    }

    fn pass(&self, rows: &[Vec<PlacedWeight>], positions: Range<usize>) -> Pass {
        let elements = self.channels.len() - 1;
        let mut shares = vec![Vec::with_capacity(rows.len()); elements];
        for row in rows {
            let before = |position: usize| row.partition_point(|(place, _)| *place < position);
            let (first, last) = (before(positions.start), before(positions.end));
            let bound = |element| match self.balanced {
                // Groups are balanced, positions need not be: the kept weights are shared out. The group in which a bound falls lies in
                // the scratch pads of both core elements.
                true => first + self.part(last - first, element),
                false => before(positions.start + self.part(positions.len(), element)),
            };
            for (element, share) in shares.iter_mut().enumerate() {
                share.push(bound(element)..bound(element + 1));
            }
        }
        Pass { shares }
    }
}
