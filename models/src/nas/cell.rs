//! The cells of NAS-Bench-201.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ModelError;

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

/// Every operation with its short name, and with its name in NAS-Bench-201.
const OPERATIONS: [(CellOperation, &str, &str); 5] = [
    (CellOperation::Skip, "skip", "skip_connect"),
    (CellOperation::None, "none", "none"),
    (CellOperation::Conv3x3, "conv3x3", "nor_conv_3x3"),
    (CellOperation::Conv1x1, "conv1x1", "nor_conv_1x1"),
    (CellOperation::AveragePool, "avgpool", "avg_pool_3x3"),
];

impl CellOperation {
    /// The operation of this short name: `skip`, `none`, `conv3x3`, `conv1x1`, `avgpool`.
    pub fn of(name: &str) -> Option<Self> {
        let named = OPERATIONS.iter().find(|(_, short, _)| *short == name);
        named.map(|(operation, ..)| *operation)
    }

    /// The operation that NAS-Bench-201 calls so.
    fn published(name: &str) -> Option<Self> {
        let named = OPERATIONS.iter().find(|(.., published)| *published == name);
        named.map(|(operation, ..)| *operation)
    }

    /// Height and width of its kernel; `None` where it has no weights.
    pub fn kernel(self) -> Option<usize> {
        match self {
            Self::Conv3x3 => Some(3),
            Self::Conv1x1 => Some(1),
            Self::Skip | Self::None | Self::AveragePool => None,
        }
    }
}

impl fmt::Display for CellOperation {
    /// Its name in NAS-Bench-201.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = OPERATIONS.iter().find(|(operation, ..)| operation == self);
        f.write_str(own.map_or("", |(.., published)| published))
    }
}

/// The two ends of every edge of a cell, in order.
pub(super) const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
/// The nodes of a cell.
pub(super) const NODES: usize = 4;

/// A cell: node 0 is its input, node 3 its output, and every node is the sum of what its edges from earlier nodes compute.
///
/// As text it is what NAS-Bench-201 writes: for each of the nodes 1, 2 and 3, the operations of its edges with the node that each edge comes from.
///
/// ```
/// use crossburn_models::nas::{CellOperation, NasCell};
///
/// let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|";
/// let cell: NasCell = text.parse()?;
/// assert_eq!(cell.edges[2], CellOperation::AveragePool);
/// assert_eq!(cell.to_string(), text);
/// # Ok::<(), crossburn_models::ModelError>(())
/// ```
///
/// # Source
/// Dong and Yang, "NAS-Bench-201", ICLR 2020. The order of edges and the numbers of the operations in the table of AnalogNAS-Bench (arXiv 2506.18495) are not
/// documented there; they follow from the table, see [`is_connected`](Self::is_connected).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NasCell {
    /// The operations of the edges 0-1, 0-2, 0-3, 1-2, 1-3, 2-3.
    pub edges: [CellOperation; 6],
}

impl NasCell {
    /// Whether anything of the input reaches the output. The networks of all other cells give the same output for every input; in the table of
    /// AnalogNAS-Bench, those 341 cells and no others are at chance.
    pub fn is_connected(&self) -> bool {
        let mut reached = [true, false, false, false];
        // Edges are ordered such that every node is settled before it is left, but for 0-3, which ends.
        for (edge, (from, to)) in EDGES.iter().enumerate() {
            reached[*to] |= reached[*from] && self.edges[edge] != CellOperation::None;
        }
        reached[3]
    }

    /// The operation of the edge between two nodes.
    fn between(&self, from: usize, to: usize) -> Option<CellOperation> {
        let place = EDGES.iter().position(|edge| *edge == (from, to))?;
        Some(self.edges[place])
    }
}

impl fmt::Display for NasCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for to in 1..NODES {
            f.write_str(if to > 1 { "+|" } else { "|" })?;
            for from in 0..to {
                if let Some(operation) = self.between(from, to) {
                    write!(f, "{operation}~{from}|")?;
                }
            }
        }
        Ok(())
    }
}

impl FromStr for NasCell {
    type Err = ModelError;

    /// Reads the text of NAS-Bench-201.
    ///
    /// # Errors
    /// [`ModelError::Sizes`], naming the part that is no edge.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        let refuse = |problem: String| ModelError::Sizes {
            problem,
            remedy: "write a cell like |nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|",
        };
        let nodes: Vec<&str> = text.trim().split('+').collect();
        if nodes.len() != NODES - 1 {
            let problem = format!("cell = {text} has {} nodes with edges, not 3", nodes.len());
            return Err(refuse(problem));
        }
        let mut edges = [CellOperation::None; 6];
        for (to, node) in (1..).zip(nodes) {
            let inside = node
                .strip_prefix('|')
                .and_then(|rest| rest.strip_suffix('|'));
            let parts: Vec<&str> = inside.map_or(Vec::new(), |inside| inside.split('|').collect());
            if parts.len() != to {
                return Err(refuse(format!(
                    "cell: `{node}` is not {to} edges between bars"
                )));
            }
            for (from, part) in parts.into_iter().enumerate() {
                let operation = part
                    .strip_suffix(&format!("~{from}"))
                    .and_then(CellOperation::published);
                let Some(operation) = operation else {
                    return Err(refuse(format!(
                        "cell: `{part}` is no operation on node {from}"
                    )));
                };
                if let Some(place) = EDGES.iter().position(|edge| *edge == (from, to)) {
                    edges[place] = operation;
                }
            }
        }
        Ok(Self { edges })
    }
}

impl TryFrom<String> for NasCell {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<NasCell> for String {
    fn from(cell: NasCell) -> Self {
        cell.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use CellOperation::{AveragePool, Conv1x1, Conv3x3, None, Skip};

    fn all_cells() -> impl Iterator<Item = NasCell> {
        let all = [Skip, None, Conv3x3, Conv1x1, AveragePool];
        (0..5usize.pow(6)).map(move |number| NasCell {
            edges: std::array::from_fn(|edge| all[number / 5usize.pow(edge as u32) % 5]),
        })
    }

    #[test]
    fn cells_without_a_path_are_counted_by_hand() {
        let cut = all_cells().filter(|cell| !cell.is_connected());
        // Without 0-3, one of five: without 0-1, not both of 0-2 and 2-3, and 1-2 and 1-3 free: 9 · 25 = 225. With 0-1, four
        // operations, and without 1-3: no 2-3, 4 · 25 = 100; with 2-3, neither 0-2 nor 1-2: 4 · 4 = 16.
        assert_eq!(cut.count(), 225 + 100 + 16);
    }

    #[test]
    fn texts_are_those_of_the_benchmark() {
        // Node 2 gets its edges from 0 and 1 before node 3 gets any.
        let text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|skip_connect~2|";
        let cell: NasCell = text.parse().unwrap();
        assert_eq!(
            cell.edges,
            [Conv3x3, None, AveragePool, Skip, Conv1x1, Skip]
        );
        let mut texts = std::collections::BTreeSet::new();
        for cell in all_cells() {
            assert_eq!(cell.to_string().parse::<NasCell>(), Ok(cell));
            texts.insert(cell.to_string());
        }
        assert_eq!(texts.len(), 15_625);
        assert_eq!(serde_json::to_string(&cell).unwrap(), format!("\"{text}\""));
        assert_eq!(CellOperation::of("avgpool"), Some(AveragePool));
        assert_eq!(CellOperation::of("conv5x5"), Option::None);
    }

    #[test]
    fn what_is_no_cell_is_refused_by_its_part() {
        for (text, part) in [
            ("|none~0|", "has 1 nodes with edges, not 3"),
            (
                "|nor_conv_5x5~0|+|none~0|none~1|+|none~0|none~1|none~2|",
                "`nor_conv_5x5~0` is no operation on node 0",
            ),
            (
                "|none~0|+|none~1|none~0|+|none~0|none~1|none~2|",
                "`none~1` is no operation on node 0",
            ),
            (
                "|none~0|+|none~0|+|none~0|none~1|none~2|",
                "`|none~0|` is not 2 edges between bars",
            ),
            (
                "none~0+|none~0|none~1|+|none~0|none~1|none~2|",
                "`none~0` is not 1 edges between bars",
            ),
            ("", "has 1 nodes with edges, not 3"),
        ] {
            let message = text.parse::<NasCell>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
