//! A network of equal cells: the networks of NAS-Bench-201, in any width.

use crossburn_hardware::WeightBits;
use crossburn_hardware::cost::LayerShape;
use serde::{Deserialize, Serialize};

use super::NasCell;
use super::cell::EDGES;
use crate::ModelError;

/// Stages, of which each has half the size and twice the channels of the one before.
const STAGES: usize = 3;
/// The most channels and the most cells of a stage.
const MOST: usize = 4096;

/// A convolution, three stages of equal cells with a residual block before the second and the third, and a linear layer on the means over all pixels.
///
/// ```
/// use crossburn_models::nas::CellCandidate;
///
/// let cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|".parse()?;
/// let small = CellCandidate { channels: 4, cells: 1, ..CellCandidate::new(cell) };
/// // The stem, one cell of two convolutions in each stage, two blocks of three, and the output.
/// assert_eq!(small.shapes().len(), 1 + 3 * 2 + 2 * 3 + 1);
/// # Ok::<(), crossburn_models::ModelError>(())
/// ```
///
/// # Source
/// Dong and Yang, "NAS-Bench-201", ICLR 2020: 16 channels and five cells in each stage, for images of 32 × 32 pixels with three channels and ten labels.
/// A convolution of a cell has an activation before it and a batch norm after it. The average of an edge is over the pixels that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellCandidate {
    /// Channels, height and width of an input. Height and width are multiples of 4.
    pub input: [usize; 3],
    /// Outputs.
    pub outputs: usize,
    /// The cell, in the notation of NAS-Bench-201.
    pub cell: NasCell,
    /// Channels of the first stage.
    #[serde(default = "sixteen")]
    pub channels: usize,
    /// Cells of each stage.
    #[serde(default = "five")]
    pub cells: usize,
    /// Width of weights and activations; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

fn sixteen() -> usize {
    16
}

fn five() -> usize {
    5
}

/// One stage with what goes into it.
pub(super) struct PlacedStage {
    /// Channels that go into it.
    pub(super) from: usize,
    /// Channels of its cells.
    pub(super) channels: usize,
    /// Height and width of its cells.
    size: [usize; 2],
    /// Whether a residual block comes before its cells.
    pub(super) reduces: bool,
}

impl CellCandidate {
    /// The network of the benchmark with this cell.
    pub fn new(cell: NasCell) -> Self {
        Self {
            input: [3, 32, 32],
            outputs: 10,
            cell,
            channels: sixteen(),
            cells: five(),
            bits: None,
        }
    }

    /// Refuses sizes of which one is zero, more than 4096 channels or cells, and inputs that cannot be halved twice.
    ///
    /// # Errors
    /// [`ModelError::Zero`], [`ModelError::Sizes`].
    pub fn check(&self) -> Result<(), ModelError> {
        let inputs = self.input.map(|size| ("input", size));
        let own = [("channels", self.channels), ("cells", self.cells)];
        let counts = inputs.into_iter().chain(own);
        let mut counts = counts.chain([("outputs", self.outputs)]);
        if let Some((key, _)) = counts.find(|(_, count)| *count == 0) {
            return Err(ModelError::Zero { key });
        }
        if let Some((key, count)) = own.into_iter().find(|(_, count)| *count > MOST) {
            return Err(ModelError::Sizes {
                problem: format!("{key} = {count} is above {MOST}"),
                remedy: "use fewer; the benchmark has 16 channels and 5 cells",
            });
        }
        let [_, height, width] = self.input;
        match [height, width].iter().all(|size| size.is_multiple_of(4)) {
            true => Ok(()),
            false => Err(ModelError::Sizes {
                problem: format!("input of {height}x{width} pixels cannot be halved twice"),
                remedy: "use a height and a width that are multiples of 4",
            }),
        }
    }

    /// The stages in their order.
    pub(super) fn stages(&self) -> impl Iterator<Item = PlacedStage> {
        let [_, height, width] = self.input;
        (0..STAGES).map(move |stage| PlacedStage {
            from: self.channels << stage.saturating_sub(1),
            channels: self.channels << stage,
            size: [height, width].map(|size| size >> stage),
            reduces: stage > 0,
        })
    }

    /// Numbers that go into the linear layer.
    pub(super) fn features(&self) -> usize {
        self.channels << (STAGES - 1)
    }

    /// The matrices of all layers, by the paths that [`CellNetwork`](super::CellNetwork) has for them.
    pub fn shapes(&self) -> Vec<LayerShape> {
        let conv = |path: String, channels: [usize; 2], kernel: usize, size: [usize; 2]| {
            LayerShape::convolution(path, channels, [kernel; 2], 1, size)
        };
        let [inputs, height, width] = self.input;
        let stem = [inputs, self.channels];
        let mut shapes = vec![conv("stem.weight".to_string(), stem, 3, [height, width])];
        for (number, stage) in self.stages().enumerate() {
            let (from, to, size) = (stage.from, stage.channels, stage.size);
            if stage.reduces {
                let path = |name: &str| format!("stages.{number}.reduction.{name}.weight");
                shapes.push(conv(path("first.conv"), [from, to], 3, size));
                shapes.push(conv(path("second.conv"), [to, to], 3, size));
                shapes.push(conv(path("shortcut"), [from, to], 1, size));
            }
            for cell in 0..self.cells {
                for edge in 0..EDGES.len() {
                    let Some(kernel) = self.cell.edges[edge].kernel() else {
                        continue;
                    };
                    let path =
                        format!("stages.{number}.cells.{cell}.edges.{edge}.step.conv.weight");
                    shapes.push(conv(path, [to, to], kernel, size));
                }
            }
        }
        shapes.push(LayerShape::linear(
            "output.weight",
            self.features(),
            self.outputs,
        ));
        shapes
    }

    /// Weights of all layers, without biases and norms.
    pub fn weights(&self) -> u64 {
        self.shapes().iter().map(LayerShape::weights).sum()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::CellOperation::{AveragePool, Conv1x1, Conv3x3, None, Skip};
    use super::*;

    #[test]
    fn matrices_by_hand() {
        let edges = [Conv3x3, Skip, Conv1x1, None, AveragePool, Conv3x3];
        let shapes = CellCandidate::new(NasCell { edges }).shapes();
        // Stem, 15 cells of three convolutions, two residual blocks of three, and the output.
        assert_eq!(shapes.len(), 1 + 45 + 6 + 1);
        let weights: u64 = shapes.iter().map(LayerShape::weights).sum();
        let cells = |channels: u64| 5 * 19 * channels * channels;
        let block = |from: u64, to: u64| 9 * from * to + 9 * to * to + from * to;
        let expected =
            432 + cells(16) + cells(32) + cells(64) + block(16, 32) + block(32, 64) + 640;
        assert_eq!(weights, expected);
        assert_eq!(CellCandidate::new(NasCell { edges }).weights(), expected);
    }

    #[test]
    fn operations_are_those_that_the_benchmark_publishes() {
        // 220.11969 million for the cell of 3 x 3 convolutions alone, of which ten are the biases of the outputs.
        let edges = [Conv3x3; 6];
        let shapes = CellCandidate::new(NasCell { edges }).shapes();
        let macs: u64 = shapes.iter().map(LayerShape::macs).sum();
        assert_eq!(macs + 10, 220_119_690);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused_by_name() {
        let edges = [Skip; 6];
        let usual = CellCandidate::new(NasCell { edges });
        usual.check().unwrap();
        for (candidate, part) in [
            (
                CellCandidate {
                    channels: 0,
                    ..usual
                },
                "model.channels = 0",
            ),
            (CellCandidate { cells: 0, ..usual }, "model.cells = 0"),
            (
                CellCandidate {
                    outputs: 0,
                    ..usual
                },
                "model.outputs = 0",
            ),
            (
                CellCandidate {
                    channels: 5000,
                    ..usual
                },
                "channels = 5000 is above 4096",
            ),
            (
                CellCandidate {
                    input: [3, 32, 30],
                    ..usual
                },
                "input of 32x30 pixels cannot be halved twice",
            ),
        ] {
            let message = candidate.check().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
