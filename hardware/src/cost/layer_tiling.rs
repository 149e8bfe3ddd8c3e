//! How a layer's matrix is cut into arrays.

use super::{ArrayShape, LayerShape, Layout};

/// The arrays of one copy of a layer.
///
/// ```text
/// interleaved    A = g ceil(K / R) ceil(M S d / C)
/// separate       A = g ceil(K / R) S d ceil(M / C)
/// ```
///
/// Every one of the g groups has arrays of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayerTiling {
    /// K.
    pub(super) inputs: usize,
    pub(super) groups: usize,
    pub(super) row_tiles: usize,
    pub(super) column_tiles: usize,
    /// Columns that fill arrays one after the other.
    run: usize,
    /// Arrays of a run.
    run_tiles: usize,
    rows_of_array: usize,
    weight_columns_of_array: usize,
    reference_columns: usize,
}

impl LayerTiling {
    pub(super) fn of(layer: &LayerShape, array: &ArrayShape) -> Self {
        let per_output = array.columns_per_output();
        let (run, runs) = match array.layout {
            Layout::Interleaved => (layer.outputs * per_output, 1),
            Layout::Separate => (layer.outputs, per_output),
        };
        let run_tiles = run.div_ceil(array.weight_columns());
        Self {
            inputs: layer.inputs,
            groups: layer.groups,
            row_tiles: layer.inputs.div_ceil(array.rows),
            column_tiles: runs * run_tiles,
            run,
            run_tiles,
            rows_of_array: array.rows,
            weight_columns_of_array: array.weight_columns(),
            reference_columns: array.reference_columns,
        }
    }

    /// A.
    pub(super) fn arrays(&self) -> u64 {
        self.groups as u64 * self.row_tiles as u64 * self.column_tiles as u64
    }

    /// Cells that hold weights.
    pub(super) fn weight_cells(&self) -> u64 {
        let columns = self.run * (self.column_tiles / self.run_tiles);
        self.groups as u64 * self.inputs as u64 * columns as u64
    }

    /// Cells that are written and read: weights and references.
    pub(super) fn cells(&self) -> u64 {
        let references = (self.reference_columns * self.column_tiles) as u64;
        self.weight_cells() + self.groups as u64 * self.inputs as u64 * references
    }

    /// Cells of the largest tile.
    pub(super) fn largest_tile(&self) -> u64 {
        self.rows_of(0) as u64 * self.columns_of(0) as u64
    }

    /// Rows used by the arrays of row tile `index`.
    pub(super) fn rows_of(&self, index: usize) -> usize {
        (self.inputs - index * self.rows_of_array).min(self.rows_of_array)
    }

    /// Columns used by the arrays of column tile `index`, references included.
    pub(super) fn columns_of(&self, index: usize) -> usize {
        let rest = self.run - index % self.run_tiles * self.weight_columns_of_array;
        rest.min(self.weight_columns_of_array) + self.reference_columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_every_cell_once(
            inputs in 1usize..300, outputs in 1usize..80, groups in 1usize..4, rows in 1usize..70,
            columns in 2usize..70, references in 0usize..2, slice_bits in 1u8..=8,
            separate in any::<bool>(),
        ) {
            let array = ArrayShape {
                rows,
                columns,
                reference_columns: references,
                slice_bits: Some(slice_bits),
                layout: if separate { Layout::Separate } else { Layout::Interleaved },
                ..ArrayShape::default()
            };
            let layer = LayerShape { groups, ..LayerShape::linear("fc", inputs, outputs) };
            let tiling = LayerTiling::of(&layer, &array);
            let mut cells = 0;
            let mut largest = 0;
            for row in 0..tiling.row_tiles {
                for column in 0..tiling.column_tiles {
                    let (used_rows, used_columns) = (tiling.rows_of(row), tiling.columns_of(column));
                    prop_assert!((1..=rows).contains(&used_rows));
                    prop_assert!((1..=columns).contains(&used_columns));
                    cells += used_rows * used_columns;
                    largest = largest.max(used_rows * used_columns);
                }
            }
            prop_assert_eq!((cells * groups) as u64, tiling.cells());
            prop_assert_eq!(largest as u64, tiling.largest_tile());
            prop_assert_eq!(tiling.weight_cells(), (array.columns_per_output() as u64) * layer.weights());
            prop_assert!(tiling.weight_cells() <= tiling.arrays() * (rows * columns) as u64);
        }
    }
}
