//! Cutting a matrix into arrays.

use crate::HardwareError;

/// How a matrix of `outputs × inputs` cells covers arrays of `rows × columns`: inputs lie along rows, outputs along columns.
///
/// Arrays are filled in order, so the last of each direction may be partly empty. Slices and polarities of a weight lie
/// on arrays of their own, at the same place.
///
/// ```
/// use crossburn_hardware::Tiling;
///
/// let tiling = Tiling::new(120, 400, 128, 128)?;
/// assert_eq!((tiling.row_tiles, tiling.column_tiles), (4, 1));
/// assert_eq!(tiling.utilisation, 120.0 * 400.0 / (4.0 * 128.0 * 128.0));
/// assert_eq!(tiling.input_range(3), 384..400);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tiling {
    /// Inputs that one array takes.
    pub rows: usize,
    /// Outputs that one array gives.
    pub columns: usize,
    /// Arrays along the inputs; their results are added up digitally.
    pub row_tiles: usize,
    /// Arrays along the outputs.
    pub column_tiles: usize,
    /// Used cells over cells of all arrays, in (0, 1].
    pub utilisation: f64,
    inputs: usize,
    outputs: usize,
}

impl Tiling {
    /// The tiling of a matrix; `outputs` counts every line, a unit column included.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where a size is zero.
    pub fn new(
        outputs: usize,
        inputs: usize,
        rows: usize,
        columns: usize,
    ) -> Result<Self, HardwareError> {
        let sizes = [
            ("outputs", outputs),
            ("inputs", inputs),
            ("array rows", rows),
            ("array columns", columns),
        ];
        if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(HardwareError::limit(field, "0", "1..", "use at least one"));
        }
        let (row_tiles, column_tiles) = (inputs.div_ceil(rows), outputs.div_ceil(columns));
        let cells = (row_tiles * rows) as f64 * (column_tiles * columns) as f64;
        Ok(Self {
            rows,
            columns,
            row_tiles,
            column_tiles,
            utilisation: inputs as f64 * outputs as f64 / cells,
            inputs,
            outputs,
        })
    }

    /// Inputs of row tile `tile`.
    pub fn input_range(&self, tile: usize) -> std::ops::Range<usize> {
        (tile * self.rows).min(self.inputs)..((tile + 1) * self.rows).min(self.inputs)
    }

    /// Outputs of column tile `tile`.
    pub fn output_range(&self, tile: usize) -> std::ops::Range<usize> {
        (tile * self.columns).min(self.outputs)..((tile + 1) * self.columns).min(self.outputs)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tiles_cover_every_cell_once(outputs in 1usize..300, inputs in 1usize..300, rows in 1usize..70, columns in 1usize..70) {
            let tiling = Tiling::new(outputs, inputs, rows, columns).unwrap();
            let covered: Vec<usize> = (0..tiling.row_tiles).flat_map(|t| tiling.input_range(t)).collect();
            prop_assert!(covered.into_iter().eq(0..inputs));
            let covered: Vec<usize> = (0..tiling.column_tiles).flat_map(|t| tiling.output_range(t)).collect();
            prop_assert!(covered.into_iter().eq(0..outputs));
            for tile in 0..tiling.row_tiles {
                let count = tiling.input_range(tile).len();
                prop_assert!((1..=rows).contains(&count));
            }
            prop_assert!(tiling.utilisation > 0.0 && tiling.utilisation <= 1.0);
        }
    }

    #[test]
    fn nothing_is_refused() {
        for sizes in [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]] {
            assert!(Tiling::new(sizes[0], sizes[1], sizes[2], sizes[3]).is_err());
        }
    }
}
