//! Which array of the chip holds which part of which layer.

use serde::{Deserialize, Serialize};

use super::layer_tiling::LayerTiling;
use super::{ArrayShape, ComponentTable};
use crate::HardwareError;

/// The most arrays that are listed.
const PLACEMENTS_MAX: u64 = 1 << 22;

/// One array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Number of the chip.
    pub chip: usize,
    /// Number of the tile on its chip.
    pub tile: usize,
    /// Number of the array in its tile.
    pub slot: usize,
    /// Index of the layer in [`FloorPlan::layers`].
    pub layer: usize,
    /// Copy of the layer.
    pub copy: usize,
    /// Group of the layer.
    pub group: usize,
    /// Which part of the inputs.
    pub row_tile: usize,
    /// Which part of the columns.
    pub column_tile: usize,
    /// Rows in use, from the first.
    pub rows: usize,
    /// Columns in use, from the first, references included.
    pub columns: usize,
}

/// The arrays of a network in the order of the chip: layers, copies, groups, row tiles, column tiles, without gaps.
///
/// ```
/// use crossburn_hardware::cost::{Accelerator, ArrayShape, CostConfig, LayerShape};
///
/// let accelerator = Accelerator::new(CostConfig::preset("isaac")?, ArrayShape::default())?;
/// let plan = accelerator.floor_plan(&[LayerShape::linear("fc", 200, 10)])?;
/// assert_eq!(plan.placements.len(), 2);
/// assert_eq!((plan.placements[1].rows, plan.placements[1].columns), (72, 20));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FloorPlan {
    /// Rows of an array.
    pub rows: usize,
    /// Columns of an array.
    pub columns: usize,
    /// Arrays of a tile.
    pub arrays_per_tile: usize,
    /// Tiles of a chip.
    pub tiles_per_chip: usize,
    /// Tiles in use, the last one perhaps in part.
    pub tiles: usize,
    /// Chips in use.
    pub chips: usize,
    /// Paths of the layers.
    pub layers: Vec<String>,
    /// Every array in use.
    pub placements: Vec<Placement>,
}

impl FloorPlan {
    pub(super) fn place(
        parts: Vec<(String, LayerTiling, usize)>,
        array: &ArrayShape,
        components: &ComponentTable,
    ) -> Result<Self, HardwareError> {
        let arrays = parts.iter().fold(0u64, |sum, (_, tiling, copies)| {
            sum.saturating_add(tiling.arrays().saturating_mul(*copies as u64))
        });
        if arrays > PLACEMENTS_MAX {
            return Err(HardwareError::limit(
                "arrays of the floor plan",
                arrays,
                format_args!("0..={PLACEMENTS_MAX}"),
                "plan fewer layers or copies at once",
            ));
        }
        let arrays_per_tile = components.arrays_per_tile();
        let tiles_per_chip = components.tiles_per_chip;
        let mut placements = Vec::with_capacity(arrays as usize);
        let mut layers = Vec::with_capacity(parts.len());
        for (layer, (path, tiling, copies)) in parts.into_iter().enumerate() {
            layers.push(path);
            for copy in 0..copies {
                for group in 0..tiling.groups {
                    for row_tile in 0..tiling.row_tiles {
                        for column_tile in 0..tiling.column_tiles {
                            let tile = placements.len() / arrays_per_tile;
                            placements.push(Placement {
                                chip: tile / tiles_per_chip,
                                tile: tile % tiles_per_chip,
                                slot: placements.len() % arrays_per_tile,
                                layer,
                                copy,
                                group,
                                row_tile,
                                column_tile,
                                rows: tiling.rows_of(row_tile),
                                columns: tiling.columns_of(column_tile),
                            });
                        }
                    }
                }
            }
        }
        let tiles = placements.len().div_ceil(arrays_per_tile);
        Ok(Self {
            rows: array.rows,
            columns: array.columns,
            arrays_per_tile,
            tiles_per_chip,
            tiles,
            chips: tiles.div_ceil(tiles_per_chip),
            layers,
            placements,
        })
    }
}
