//! Components of an accelerator: counts, power and area per array group, tile and chip.

use serde::{Deserialize, Serialize};

use super::limit::{require_count, require_not_negative};
use crate::HardwareError;
use crate::units::{SquareMillimetre, Watt};

/// The kind of a component. It determines how the area scales if the array has another size than that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentKind {
    /// Memory cells: rows × columns.
    Array,
    /// Input drivers (DAC): rows.
    RowDriver,
    /// Converters: replaced by the area of the chosen estimator.
    Adc,
    /// Sample and hold: columns.
    SampleHold,
    /// Shift and add: columns.
    ShiftAdd,
    /// Registers.
    Register,
    /// Buffer memory.
    Buffer,
    /// Bus of a tile.
    Bus,
    /// Router between tiles.
    Router,
    /// Activation functions.
    Activation,
    /// Pooling.
    Pooling,
    /// Link between chips.
    Link,
    /// Anything else.
    Other,
}

/// One row of a table: all `count` pieces together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What it is.
    pub kind: ComponentKind,
    /// How many.
    pub count: usize,
    /// Power of all of them at full use; unknown if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Watt>,
    /// Area of all of them.
    pub area: SquareMillimetre,
    /// How many groups or tiles share them.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub shared_by: usize,
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

/// The components of a chip: arrays in groups (ISAAC's in-situ multiply-accumulate units, "IMA"), groups in tiles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentTable {
    /// Rows of the arrays that the table describes.
    pub rows: usize,
    /// Columns of those arrays.
    pub columns: usize,
    /// Arrays of an IMA.
    pub arrays_per_ima: usize,
    /// IMAs of a tile.
    pub imas_per_tile: usize,
    /// Tiles of a chip.
    pub tiles_per_chip: usize,
    /// Components of one IMA.
    pub ima: Vec<Component>,
    /// Components of one tile beside its IMAs.
    #[serde(default)]
    pub tile: Vec<Component>,
    /// Components of the chip beside its tiles.
    #[serde(default)]
    pub chip: Vec<Component>,
}

/// Power and area of one level of the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelTotal {
    /// Power at full use; `None` where a component's is unknown.
    pub power: Option<Watt>,
    /// Area.
    pub area: SquareMillimetre,
}

/// A whole chip from its components.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipTotals {
    /// One IMA.
    pub ima: LevelTotal,
    /// One tile with its IMAs.
    pub tile: LevelTotal,
    /// All tiles.
    pub tiles: LevelTotal,
    /// The chip.
    pub chip: LevelTotal,
}

/// Area of one array and what belongs to it, in mm², without its converters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ArrayArea {
    pub(super) cells: f64,
    pub(super) periphery: f64,
    pub(super) tile_share: f64,
}

impl ComponentTable {
    /// Whether the table can be: no zero counts, no negative figures, as many arrays as it says.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] and [`HardwareError::Conflict`].
    pub fn check(&self) -> Result<(), HardwareError> {
        const MOST: usize = 1 << 20;
        for (name, count) in [
            ("components.rows", self.rows),
            ("components.columns", self.columns),
            ("components.arrays_per_ima", self.arrays_per_ima),
            ("components.imas_per_tile", self.imas_per_tile),
            ("components.tiles_per_chip", self.tiles_per_chip),
        ] {
            require_count(name, count, 1, MOST)?;
        }
        for (level, components) in [
            ("ima", &self.ima),
            ("tile", &self.tile),
            ("chip", &self.chip),
        ] {
            for component in components {
                let field =
                    |name: &str| format!("{name} of components.{level} {:?}", component.kind);
                require_count(field("count"), component.count, 1, MOST)?;
                require_count(field("shared_by"), component.shared_by, 1, MOST)?;
                require_not_negative(field("area"), component.area, component.area.get())?;
                if let Some(power) = component.power {
                    require_not_negative(field("power"), power, power.get())?;
                }
                if component.kind == ComponentKind::Array
                    && (level != "ima" || component.count != self.arrays_per_ima)
                {
                    return Err(HardwareError::conflict(
                        format!(
                            "components.{level} lists {} arrays, arrays_per_ima = {}",
                            component.count, self.arrays_per_ima
                        ),
                        "list all arrays of an IMA in one row of components.ima",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Power and area of IMA, tile, all tiles and chip.
    pub fn totals(&self) -> ChipTotals {
        let ima = level(&self.ima, 0, LevelTotal::NOTHING);
        let tile = level(&self.tile, self.imas_per_tile, ima);
        let tiles = level(&[], self.tiles_per_chip, tile);
        let chip = level(&self.chip, 1, tiles);
        ChipTotals {
            ima,
            tile,
            tiles,
            chip,
        }
    }

    /// Arrays of a tile.
    pub fn arrays_per_tile(&self) -> usize {
        self.arrays_per_ima * self.imas_per_tile
    }

    /// Arrays of a chip.
    pub fn arrays_per_chip(&self) -> usize {
        self.arrays_per_tile() * self.tiles_per_chip
    }

    /// One array's own area and its share of IMA and tile, for arrays of `rows` × `columns`.
    pub(super) fn array_area(&self, rows: usize, columns: usize) -> ArrayArea {
        let by_rows = rows as f64 / self.rows as f64;
        let by_columns = columns as f64 / self.columns as f64;
        let mut area = ArrayArea::default();
        for component in &self.ima {
            let share =
                component.area.get() / component.shared_by as f64 / self.arrays_per_ima as f64;
            match component.kind {
                ComponentKind::Array => area.cells += share * by_rows * by_columns,
                ComponentKind::Adc => {}
                ComponentKind::RowDriver => area.periphery += share * by_rows,
                ComponentKind::SampleHold | ComponentKind::ShiftAdd => {
                    area.periphery += share * by_columns;
                }
                _ => area.periphery += share,
            }
        }
        for component in &self.tile {
            area.tile_share +=
                component.area.get() / component.shared_by as f64 / self.arrays_per_tile() as f64;
        }
        area
    }
}

impl LevelTotal {
    const NOTHING: Self = Self {
        power: Some(Watt::new(0.0)),
        area: SquareMillimetre::new(0.0),
    };
}

/// `count` pieces of the level below and the components of this one.
fn level(components: &[Component], count: usize, below: LevelTotal) -> LevelTotal {
    let count = count as f64;
    let mut power = below.power.map(|power| power.get() * count);
    let mut area = below.area.get() * count;
    for component in components {
        let share = 1.0 / component.shared_by as f64;
        power = power
            .zip(component.power)
            .map(|(sum, power)| sum + power.get() * share);
        area += component.area.get() * share;
    }
    LevelTotal {
        power: power.map(Watt::new),
        area: SquareMillimetre::new(area),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn table() -> ComponentTable {
        let component = |kind, count, milliwatt: f64, area: f64| Component {
            kind,
            count,
            power: Some(Watt::new(milliwatt * 1e-3)),
            area: SquareMillimetre::new(area),
            shared_by: 1,
        };
        ComponentTable {
            rows: 64,
            columns: 64,
            arrays_per_ima: 2,
            imas_per_tile: 3,
            tiles_per_chip: 5,
            ima: vec![
                component(ComponentKind::Array, 2, 1.0, 0.02),
                component(ComponentKind::RowDriver, 128, 2.0, 0.04),
                component(ComponentKind::Adc, 2, 4.0, 0.5),
            ],
            tile: vec![Component {
                shared_by: 4,
                ..component(ComponentKind::Router, 1, 8.0, 0.8)
            }],
            chip: vec![component(ComponentKind::Link, 1, 100.0, 7.0)],
        }
    }

    #[test]
    fn levels_add_up() {
        let totals = table().totals();
        let power = |level: LevelTotal| level.power.unwrap().get();
        // IMA 7 mW; tile 3 · 7 + 8 / 4 = 23 mW; 5 tiles 115 mW; chip 215 mW. Tolerances: roundings of f64.
        assert!((power(totals.ima) - 7e-3).abs() < 1e-15);
        assert!((power(totals.tile) - 23e-3).abs() < 1e-15);
        assert!((power(totals.tiles) - 115e-3).abs() < 1e-15);
        assert!((power(totals.chip) - 215e-3).abs() < 1e-15);
        // IMA 0.56; tile 1.68 + 0.2 = 1.88; 9.4; 16.4 mm².
        assert!((totals.chip.area.get() - 16.4).abs() < 1e-12);
        let mut unknown = table();
        unknown.ima[0].power = None;
        assert_eq!(unknown.totals().chip.power, None);
        assert_eq!(unknown.totals().chip.area, totals.chip.area);
    }

    #[test]
    fn an_array_of_another_size_takes_its_own_part() {
        let area = table().array_area(128, 64);
        assert!((area.cells - 0.02).abs() < 1e-15);
        assert!((area.periphery - 0.04).abs() < 1e-15);
        // 0.8 / 4 over six arrays.
        assert!((area.tile_share - 0.2 / 6.0).abs() < 1e-15);
    }

    #[test]
    fn tables_that_contradict_themselves_are_refused() {
        table().check().unwrap();
        let mut arrays = table();
        arrays.ima[0].count = 3;
        assert_eq!(
            arrays.check().unwrap_err().to_string(),
            "components.ima lists 3 arrays, arrays_per_ima = 2: list all arrays of an IMA in one row of components.ima"
        );
        let mut zero = table();
        zero.imas_per_tile = 0;
        assert!(zero.check().is_err());
        let mut negative = table();
        negative.tile[0].area = SquareMillimetre::new(-1.0);
        assert!(negative.check().is_err());
        let mut shared = table();
        shared.tile[0].shared_by = 0;
        assert!(shared.check().is_err());
    }
}
