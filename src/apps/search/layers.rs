//! The layers of a design, and their arrays.

use crossburn_hardware::cost::{CostReport, LayerShape};
use crossburn_training::search::{Design, Judge, Space};

use super::axes::PICO;
use crate::report::DesignLayer;

/// A judge that knows the layers of designs.
pub(crate) trait Measures: Judge + Send {
    /// The layers of a design, in order; none if they are not known.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    fn layers(&self, space: &Space, design: &Design) -> Result<Vec<DesignLayer>, String>;
}

/// Layers of these shapes, and their costs.
pub(super) fn layers_of(shapes: &[LayerShape], cost: &CostReport) -> Vec<DesignLayer> {
    let layers = shapes.iter().zip(&cost.layers);
    layers
        .map(|(shape, cost)| DesignLayer {
            path: shape.path.clone(),
            inputs: shape.inputs,
            outputs: shape.outputs,
            groups: shape.groups,
            positions: shape.positions,
            row_tiles: cost.row_tiles,
            column_tiles: cost.column_tiles,
            copies: cost.copies,
            arrays: cost.arrays,
            utilisation: cost.utilisation,
            energy: cost.energy.total().get() * PICO,
            latency: cost.latency.get(),
        })
        .collect()
}
