//! The demands of a layer on the arrays.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// The most multiplications of one layer and image: every count of this module then fits 64 bits.
const MACS_MAX: u128 = 1 << 44;

/// One matrix on arrays and how often an image uses it.
///
/// ```
/// use crossburn_hardware::cost::LayerShape;
///
/// // 3×3 kernels, 64 -> 128 channels, 16×16 outputs.
/// let layer = LayerShape::convolution("conv", [64, 128], [3, 3], 1, [16, 16]);
/// assert_eq!((layer.inputs, layer.outputs, layer.positions), (576, 128, 256));
/// assert_eq!(layer.macs(), 576 * 128 * 256);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerShape {
    /// Path of the weight.
    pub path: String,
    /// Inputs of one group per output position: rows of its matrix.
    pub inputs: usize,
    /// Outputs of one group.
    pub outputs: usize,
    /// Groups, each with a matrix of its own.
    pub groups: usize,
    /// Output positions per image; 1 for a linear layer.
    pub positions: usize,
}

impl LayerShape {
    /// A linear layer.
    pub fn linear(path: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self {
            path: path.into(),
            inputs,
            outputs,
            groups: 1,
            positions: 1,
        }
    }

    /// A convolution: `channels` in and out, both multiples of `groups`, kernel and output as height and width.
    pub fn convolution(
        path: impl Into<String>,
        channels: [usize; 2],
        kernel: [usize; 2],
        groups: usize,
        output: [usize; 2],
    ) -> Self {
        let [inputs, outputs] = channels.map(|channels| channels / groups.max(1));
        Self {
            path: path.into(),
            inputs: inputs.saturating_mul(kernel[0]).saturating_mul(kernel[1]),
            outputs,
            groups,
            positions: output[0].saturating_mul(output[1]),
        }
    }

    /// The same shape, if it has no zero and a count of multiplications that can be.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(&self) -> Result<(), HardwareError> {
        let path = &self.path;
        for (name, size) in [
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            ("groups", self.groups),
            ("positions", self.positions),
        ] {
            if size == 0 {
                let field = format!("{name} of `{path}`");
                return Err(HardwareError::limit(
                    field,
                    0,
                    "the numbers from 1 on",
                    "give its size",
                ));
            }
        }
        let macs = self.wide_macs();
        if macs.is_none_or(|macs| macs > MACS_MAX) {
            let value = macs.map_or("more than 2^128".to_string(), |macs| macs.to_string());
            return Err(HardwareError::limit(
                format!("multiplications of `{path}`"),
                value,
                format_args!("0..={MACS_MAX}"),
                "check the sizes of the layer",
            ));
        }
        Ok(())
    }

    /// Multiplications and additions per image.
    pub fn macs(&self) -> u64 {
        self.wide_macs()
            .and_then(|macs| u64::try_from(macs).ok())
            .unwrap_or(u64::MAX)
    }

    /// Weights of the layer.
    pub fn weights(&self) -> u64 {
        let [inputs, outputs, groups] =
            [self.inputs, self.outputs, self.groups].map(|size| size as u64);
        inputs.saturating_mul(outputs).saturating_mul(groups)
    }

    fn wide_macs(&self) -> Option<u128> {
        [self.inputs, self.outputs, self.groups, self.positions]
            .into_iter()
            .try_fold(1u128, |product, size| product.checked_mul(size as u128))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn groups_split_the_channels_but_not_the_positions() {
        let depthwise = LayerShape::convolution("dw", [32, 32], [3, 3], 32, [8, 8]);
        assert_eq!((depthwise.inputs, depthwise.outputs), (9, 1));
        assert_eq!(depthwise.macs(), 9 * 32 * 64);
        assert_eq!(depthwise.weights(), 9 * 32);
    }

    #[test]
    fn zeros_and_impossible_sizes_are_refused() {
        let zero = LayerShape::linear("fc", 0, 10).check().unwrap_err();
        assert_eq!(
            zero.to_string(),
            "inputs of `fc` = 0 is outside the numbers from 1 on: give its size"
        );
        assert!(LayerShape::linear("fc", 1 << 26, 1 << 26).check().is_err());
        let huge = LayerShape {
            groups: usize::MAX,
            positions: usize::MAX,
            ..LayerShape::linear("fc", usize::MAX, usize::MAX)
        };
        assert!(huge.check().is_err());
        LayerShape::linear("fc", 784, 10).check().unwrap();
    }
}
