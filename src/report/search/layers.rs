//! The winning design, layer by layer with its arrays: a table and a picture.

use super::document::{DesignLayer, SearchResults};
use super::summary::quantity;
use crate::report::draw::{Axis, Drawing, Mark, Row, RowChart, Table};

/// The file stem of the picture.
pub(super) const LAYERS: &str = "layers";
/// Layers of a picture.
const MOST_ROWS: usize = 60;

impl DesignLayer {
    /// Its matrix: rows and columns of one group, and how many groups there are.
    fn matrix(&self) -> String {
        match self.groups {
            1 => format!("{} × {}", self.inputs, self.outputs),
            groups => format!("{groups} of {} × {}", self.inputs, self.outputs),
        }
    }

    /// Its path without what all paths end with.
    fn name(&self) -> &str {
        self.path.strip_suffix(".weight").unwrap_or(&self.path)
    }
}

/// One row per layer.
pub(super) fn layers(results: &SearchResults) -> Table {
    let rows = results.layers.iter().map(|layer| {
        [
            layer.name().to_string(),
            layer.matrix(),
            layer.positions.to_string(),
            layer.arrays.to_string(),
            format!("{:.0} %", 100.0 * layer.utilisation),
            quantity(layer.energy, "pJ"),
            quantity(layer.latency, "s"),
        ]
    });
    let headers = [
        "Layer",
        "Matrix",
        "Positions",
        "Arrays",
        "Cells used",
        "Energy",
        "Latency",
    ];
    Table::new(headers).rows(rows).numbers(headers.len() - 2)
}

/// A bar of arrays for each layer, of which the first part holds weights.
pub(super) fn picture(results: &SearchResults) -> Drawing {
    let shown = &results.layers[..results.layers.len().min(MOST_ROWS)];
    let rows = shown.iter().map(|layer| {
        let (arrays, used) = (layer.arrays as f64, layer.arrays as f64 * layer.utilisation);
        Row {
            name: layer.name().to_string(),
            marks: vec![
                Mark::Segment {
                    series: 0,
                    from: 0.0,
                    to: used,
                },
                Mark::Segment {
                    series: 5,
                    from: used,
                    to: arrays,
                },
            ],
            text: format!("{}, {} positions", layer.matrix(), layer.positions),
        }
    });
    let most = shown.iter().map(|layer| layer.arrays).max().unwrap_or(1) as f64;
    let cut = match results.layers.len() - shown.len() {
        0 => String::new(),
        left => format!(" The last {left} layers are in the table alone."),
    };
    let all: u64 = results.layers.iter().map(|layer| layer.arrays).sum();
    RowChart {
        id: LAYERS,
        title: "The design of the highest score on its arrays".to_string(),
        note: format!(
            "Layers from input to output, with the rows and columns of their matrices. {all} arrays in all.{cut}"
        ),
        description: format!("{} layers and the arrays that each takes.", shown.len()),
        meaning: "The longest bars are what to shrink first. A bar with few used cells wastes its arrays: another array size may fit this layer better."
            .to_string(),
        // Room for the words after the longest bar.
        x: Axis::covering("Arrays", [0.0, 2.0 * most], (0.0, f64::MAX), 1.0),
        rows: rows.collect(),
        legend: vec![
            (0, "cells that hold weights".to_string()),
            (5, "cells that hold none".to_string()),
        ],
    }
    .drawing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn layers_are_written_with_their_matrices() {
        let text = layers(&example::search()).text();
        for part in [
            "layers.0.first.conv",
            "4 of 9 × 1",
            "output",
            "64 × 10",
            "25 %",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let svg = picture(&example::search()).inline();
        assert!(svg.contains("4 of 9 × 1, 64 positions"), "{svg}");
        assert!(svg.contains("3 arrays in all"), "{svg}");
    }
}
