//! The networks of NAS-Bench-201, whose cells AnalogNAS-Bench measured on analog hardware.

use crossburn_hardware::cost::LayerShape;

/// The operation of an edge of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellOperation {
    /// Its input as it is.
    Skip,
    /// Nothing.
    None,
    /// A convolution with a kernel of 3.
    Conv3x3,
    /// A convolution with a kernel of 1.
    Conv1x1,
    /// The average of 3 × 3 pixels.
    AveragePool,
}

impl CellOperation {
    /// The operation of this name: `skip`, `none`, `conv3x3`, `conv1x1`, `avgpool`.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "skip" => Some(Self::Skip),
            "none" => Some(Self::None),
            "conv3x3" => Some(Self::Conv3x3),
            "conv1x1" => Some(Self::Conv1x1),
            "avgpool" => Some(Self::AveragePool),
            _ => None,
        }
    }
}

/// The two ends of every edge of a cell, in order.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
/// Channels and pixels per side of the three stages.
const STAGES: [(usize, usize); 3] = [(16, 32), (32, 16), (64, 8)];
const CELLS_PER_STAGE: usize = 5;

/// A network of equal cells: a convolution, three stages of five cells with a residual block before the second and the third, and a linear layer.
///
/// A cell has four nodes. Node 0 is its input, node 3 its output, and every node is the sum of what its edges from earlier nodes compute. Edges
/// are ordered 0-1, 0-2, 0-3, 1-2, 1-3, 2-3.
///
/// # Source
/// Dong and Yang, "NAS-Bench-201", ICLR 2020, for images of 32 × 32 pixels with three channels and ten labels. The order of edges and the numbers of the
/// operations in the table of AnalogNAS-Bench (arXiv 2506.18495) are not documented there; they follow from the table, see
/// [`is_connected`](Self::is_connected).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellNetwork {
    /// The operation of every edge.
    pub edges: [CellOperation; 6],
}

impl CellNetwork {
    /// Whether anything of the input reaches the output of a cell. The networks of all other cells give the same output for every input; in the table of
    /// AnalogNAS-Bench, those 341 cells and no others are at chance.
    pub fn is_connected(&self) -> bool {
        let mut reached = [true, false, false, false];
        // Edges are ordered such that every node is settled before it is left, but for 0-3, which ends.
        for (edge, (from, to)) in EDGES.iter().enumerate() {
            reached[*to] |= reached[*from] && self.edges[edge] != CellOperation::None;
        }
        reached[3]
    }

    /// The matrices of all layers, in their order.
    pub fn shapes(&self) -> Vec<LayerShape> {
        let conv = |path: String, from: usize, to: usize, kernel: usize, size: usize| {
            LayerShape::convolution(path, [from, to], [kernel; 2], 1, [size; 2])
        };
        let (first, size) = STAGES[0];
        let mut shapes = vec![conv("stem.weight".to_string(), 3, first, 3, size)];
        let mut before = first;
        for (stage, (channels, size)) in STAGES.into_iter().enumerate() {
            if stage > 0 {
                let path = |name: &str| format!("stages.{stage}.{name}.weight");
                shapes.push(conv(path("conv1"), before, channels, 3, size));
                shapes.push(conv(path("conv2"), channels, channels, 3, size));
                shapes.push(conv(path("shortcut"), before, channels, 1, size));
            }
            before = channels;
            for cell in 0..CELLS_PER_STAGE {
                for (edge, operation) in self.edges.iter().enumerate() {
                    let kernel = match operation {
                        CellOperation::Conv3x3 => 3,
                        CellOperation::Conv1x1 => 1,
                        _ => continue,
                    };
                    let path = format!("stages.{stage}.cells.{cell}.edges.{edge}.weight");
                    shapes.push(conv(path, channels, channels, kernel, size));
                }
            }
        }
        shapes.push(LayerShape::linear("output.weight", before, 10));
        shapes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CellOperation::{AveragePool, Conv1x1, Conv3x3, None, Skip};

    #[test]
    fn cells_without_a_path_are_counted_by_hand() {
        let all = [Skip, None, Conv3x3, Conv1x1, AveragePool];
        let cut = (0..5usize.pow(6)).filter(|number| {
            let edges = std::array::from_fn(|edge| all[number / 5usize.pow(edge as u32) % 5]);
            !CellNetwork { edges }.is_connected()
        });
        // Without 0-3, one of five: without 0-1, not both of 0-2 and 2-3, and 1-2 and 1-3 free: 9 · 25 = 225. With 0-1, four
        // operations, and without 1-3: no 2-3, 4 · 25 = 100; with 2-3, neither 0-2 nor 1-2: 4 · 4 = 16.
        assert_eq!(cut.count(), 225 + 100 + 16);
    }

    #[test]
    fn matrices_by_hand() {
        let edges = [Conv3x3, Skip, Conv1x1, None, AveragePool, Conv3x3];
        let shapes = CellNetwork { edges }.shapes();
        // Stem, 15 cells of three convolutions, two residual blocks of three, and the output.
        assert_eq!(shapes.len(), 1 + 45 + 6 + 1);
        let weights: u64 = shapes.iter().map(LayerShape::weights).sum();
        let cells = |channels: u64| 5 * 19 * channels * channels;
        let block = |from: u64, to: u64| 9 * from * to + 9 * to * to + from * to;
        let expected =
            432 + cells(16) + cells(32) + cells(64) + block(16, 32) + block(32, 64) + 640;
        assert_eq!(weights, expected);
        assert_eq!(CellOperation::of("avgpool"), Some(AveragePool));
        assert_eq!(CellOperation::of("conv5x5"), Option::None);
    }
}
