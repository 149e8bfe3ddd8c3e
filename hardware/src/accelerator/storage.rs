//! The memory of a layer's weights.

use serde::{Deserialize, Serialize};

use super::integer_layer::ACCUMULATOR_BITS;
use super::{IntegerLayer, LayerOutput, WeightIndex};

/// Bits of a multiplier and of a shift.
const RESCALE_BITS: u64 = 16 + 6;

/// Bits of one layer in memory, by purpose.
///
/// ```
/// # use crossburn_hardware::accelerator::{IntegerLayer, LayerOutput, Sparsity, WeightIndex};
/// # let layer = IntegerLayer {
/// #     name: "dense".into(), shape: [1, 1, 4], weight_bits: 4, weights: vec![1, 0, -1, 0],
/// #     sparsity: Sparsity::Balanced { kept: 2, group: 4 }, kept: vec![true, false, true, false], bias: vec![5],
/// #     stride: 1, padding: [0, 0], output: LayerOutput::Results { scale: vec![1.0] },
/// # };
/// // One output of four weights of 4 bits, of which 2:4 sparsity keeps two: two weights, a bitmap, and a bias of 24 bits.
/// let bits = layer.stored_bits();
/// assert_eq!((bits.form, bits.weights, bits.index, bits.parameters), (WeightIndex::Bitmap, 8, 4, 24));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredBits {
    /// How absent weights are written.
    pub form: WeightIndex,
    /// Weights themselves.
    pub weights: u64,
    /// The index: where the kept weights stood.
    pub index: u64,
    /// Biases, and multipliers and shifts of the rescaling.
    pub parameters: u64,
}

impl IntegerLayer {
    /// The bits of the layer in its smallest form.
    pub fn stored_bits(&self) -> StoredBits {
        let (all, kept) = (self.weights.len(), self.kept_weights());
        let (form, bits) = self.sparsity.stored(all, kept, self.weight_bits);
        let weights = kept as u64 * u64::from(self.weight_bits);
        StoredBits {
            form,
            weights,
            index: bits.saturating_sub(weights),
            parameters: self.parameter_bits(),
        }
    }

    /// Bits of biases, and of multipliers and shifts.
    pub(super) fn parameter_bits(&self) -> u64 {
        let rescale = match &self.output {
            LayerOutput::Activations { .. } => RESCALE_BITS,
            LayerOutput::Results { .. } => 0,
        };
        self.outputs() as u64 * (u64::from(ACCUMULATOR_BITS) + rescale)
    }
}
