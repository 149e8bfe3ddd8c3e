//! The floor plan: every array of the chip as a square, in the order of the chip, tile by tile.

use std::collections::BTreeSet;
use std::fmt::Write;

use crossburn_hardware::cost::{FloorPlan, Placement};

use crate::report::draw::{
    ADVANCE, Drawing, MARGIN, NARROW_SCALE, TEXT, WIDTH, class, escape, put, shorten,
};

/// Name of the picture.
pub(super) const FLOOR_PLAN: &str = "floor-plan";
/// A sheet that the plan is drawn on.
#[derive(Clone, Copy)]
struct Sheet {
    width: f64,
    /// The height that squares are made to fit.
    height: f64,
    /// Estimated width of a character.
    character: f64,
    /// Columns of the list of layers.
    columns: usize,
}

/// The whole width of a page, and a narrow screen, where text is enlarged.
const BROAD: Sheet = Sheet {
    width: 1120.0,
    height: 560.0,
    character: TEXT * ADVANCE,
    columns: 2,
};
const SLIM: Sheet = Sheet {
    width: WIDTH,
    height: 840.0,
    character: TEXT * ADVANCE * NARROW_SCALE,
    columns: 1,
};
/// Sides of a square, largest first, and what is left free around one.
const SIDES: [f64; 10] = [18.0, 14.0, 11.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0];
const GAP: f64 = 1.0;
/// Between tiles.
const AISLE: f64 = 10.0;
/// Height of the words above a tile.
const LABEL: f64 = 20.0;
/// More squares than this are not drawn.
const MOST: usize = 40_000;

/// Where tiles lie for one side of a square.
struct Grid {
    side: f64,
    /// Arrays next to each other in a tile.
    columns: usize,
    tile_width: f64,
    tile_height: f64,
    tiles_per_line: usize,
}

impl Grid {
    fn new(sheet: Sheet, side: f64, arrays_per_tile: usize) -> Self {
        let columns = beside(arrays_per_tile);
        let tile_width = columns as f64 * (side + GAP) + AISLE;
        let rows = arrays_per_tile.div_ceil(columns);
        Self {
            side,
            columns,
            tile_width,
            tile_height: rows as f64 * (side + GAP) + AISLE + LABEL,
            tiles_per_line: ((sheet.width - 2.0 * MARGIN + AISLE) / tile_width).max(1.0) as usize,
        }
    }

    /// Lines of tiles; every chip starts one.
    fn lines(&self, tiles: usize, tiles_per_chip: usize) -> usize {
        let chips = tiles / tiles_per_chip;
        let of = |tiles: usize| tiles.div_ceil(self.tiles_per_line);
        chips * of(tiles_per_chip) + of(tiles % tiles_per_chip)
    }

    /// Top left corner of the tile that is number `tile` on chip `chip`.
    fn tile(&self, chip: usize, tile: usize, tiles_per_chip: usize) -> (f64, f64) {
        let line = chip * tiles_per_chip.div_ceil(self.tiles_per_line) + tile / self.tiles_per_line;
        (
            MARGIN + (tile % self.tiles_per_line) as f64 * self.tile_width,
            line as f64 * self.tile_height,
        )
    }

    /// Offset of an array in its tile.
    fn slot(&self, slot: usize) -> (f64, f64) {
        let step = self.side + GAP;
        (
            (slot % self.columns) as f64 * step,
            LABEL + (slot / self.columns) as f64 * step,
        )
    }
}

/// Arrays next to each other, so that a tile is full and no more than about twice as wide as high.
fn beside(arrays: usize) -> usize {
    let root = (arrays as f64).sqrt().ceil().max(1.0) as usize;
    (root..=root * 3 / 2)
        .find(|columns| arrays.is_multiple_of(*columns))
        .unwrap_or(root)
}

/// The plan as a picture.
pub(super) fn drawing(plan: &FloorPlan) -> Drawing {
    drawn(plan, BROAD).with_slim(drawn(plan, SLIM)).meaning(
        "Area is paid for whole squares. A layer whose squares are mostly empty fits arrays of this size badly: smaller arrays, or several layers to \
         an array, would save area.",
    )
}

fn drawn(plan: &FloorPlan, sheet: Sheet) -> Drawing {
    let shown = &plan.placements[..plan.placements.len().min(MOST)];
    let tiles = shown.len().div_ceil(plan.arrays_per_tile.max(1));
    let tiles_per_chip = plan.tiles_per_chip.max(1);
    let grids = SIDES.map(|side| Grid::new(sheet, side, plan.arrays_per_tile.max(1)));
    let fits = |grid: &&Grid| {
        grid.lines(tiles, tiles_per_chip) as f64 * grid.tile_height <= sheet.height
            && grid.tile_width <= sheet.width - 2.0 * MARGIN + AISLE
    };
    let grid = grids.iter().find(fits).unwrap_or(&grids[SIDES.len() - 1]);

    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let title = format!(
        "Floor plan: {} in {} on {}",
        count(plan.placements.len(), "array"),
        count(plan.tiles, "tile"),
        count(plan.chips, "chip")
    );
    let mut note = format!(
        "Each square is an array of {} rows and {} columns, filled as far as rows (downwards) and columns are in use; empty \
         squares are free. Above each tile: its number and the layers in it, numbered as below.",
        plan.rows, plan.columns
    );
    if shown.len() < plan.placements.len() {
        let _ = write!(note, " Only the first {MOST} arrays are drawn.");
    }
    let description = format!(
        "{} of {} × {} cells in the order of the chip, grouped by tile and coloured by layer.",
        count(plan.placements.len(), "array"),
        plan.rows,
        plan.columns
    );
    let mut drawing = Drawing::new(FLOOR_PLAN, sheet.width, &title, &note, &description);
    let top = drawing.height + 4.0;
    let place = |placement: &Placement| {
        let (x, y) = grid.tile(placement.chip, placement.tile, tiles_per_chip);
        let (dx, dy) = grid.slot(placement.slot);
        (x + dx, top + y + dy)
    };
    labels(&mut drawing.body, shown, plan, grid, (top, sheet));

    // Two paths per layer: the arrays, and what of them is in use.
    let mut whole = vec![String::new(); plan.layers.len()];
    let mut used = vec![String::new(); plan.layers.len()];
    let side = grid.side;
    for placement in shown {
        let (x, y) = place(placement);
        put(
            &mut whole[placement.layer],
            format_args!("M{x:.1} {y:.1}h{side}v{side}h-{side}z"),
        );
        // What is in use stays visible, however little it is.
        let part = |used: usize, all: usize| (side * used as f64 / all as f64).max(0.8);
        let (width, height) = (
            part(placement.columns, plan.columns),
            part(placement.rows, plan.rows),
        );
        put(
            &mut used[placement.layer],
            format_args!("M{x:.1} {y:.1}h{width:.1}v{height:.1}h-{width:.1}z"),
        );
    }
    for (layer, (whole, used)) in whole.iter().zip(&used).enumerate() {
        put(
            &mut drawing.body,
            format_args!(
                "<g class=\"{}\"><path class=\"whole\" d=\"{whole}\"/><path class=\"used\" d=\"{used}\"/></g>\n",
                class(layer)
            ),
        );
    }
    free(&mut drawing.body, shown, plan, grid, top);
    let lines = grid.lines(tiles, tiles_per_chip) as f64;
    drawing.height = top + lines * grid.tile_height;
    legend(&mut drawing, plan, sheet);
    drawing
}

/// Numbers of tiles and of the layers in them, where there is room.
fn labels(
    body: &mut String,
    shown: &[Placement],
    plan: &FloorPlan,
    grid: &Grid,
    (top, sheet): (f64, Sheet),
) {
    for tile in shown.chunks(plan.arrays_per_tile.max(1)) {
        let first = &tile[0];
        let layers: BTreeSet<usize> = tile.iter().map(|array| array.layer + 1).collect();
        let range = match (layers.first(), layers.last()) {
            (Some(low), Some(high)) if low < high => format!("{low}–{high}"),
            (Some(low), _) => low.to_string(),
            _ => String::new(),
        };
        let chip = match plan.chips {
            1 => String::new(),
            _ => format!("{}/", first.chip + 1),
        };
        let number = format!("{chip}{}", first.tile + 1);
        let room = grid.tile_width - AISLE / 2.0;
        let texts = [format!("{number}: {range}"), number];
        let text = texts
            .iter()
            .find(|text| text.chars().count() as f64 * sheet.character <= room);
        if let Some(text) = text {
            let (x, y) = grid.tile(first.chip, first.tile, plan.tiles_per_chip.max(1));
            put(
                body,
                format_args!(
                    "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>\n",
                    top + y + LABEL - 5.0
                ),
            );
        }
    }
}

/// The arrays of the last tile that hold nothing.
fn free(body: &mut String, shown: &[Placement], plan: &FloorPlan, grid: &Grid, top: f64) {
    let Some(last) = shown.last() else { return };
    let (x, y) = grid.tile(last.chip, last.tile, plan.tiles_per_chip.max(1));
    let mut path = String::new();
    for slot in last.slot + 1..plan.arrays_per_tile {
        let (dx, dy) = grid.slot(slot);
        let side = grid.side - 0.75;
        put(
            &mut path,
            format_args!(
                "M{:.1} {:.1}h{side}v{side}h-{side}z",
                x + dx + 0.4,
                top + y + dy + 0.4
            ),
        );
    }
    if !path.is_empty() {
        put(body, format_args!("<path class=\"free\" d=\"{path}\"/>\n"));
    }
}

/// Layers with their colour, their arrays and how full these are.
fn legend(drawing: &mut Drawing, plan: &FloorPlan, sheet: Sheet) {
    let column = (sheet.width - 2.0 * MARGIN) / sheet.columns as f64;
    let rows = plan.layers.len().div_ceil(sheet.columns);
    let cells = plan.rows as f64 * plan.columns as f64;
    for (layer, path) in plan.layers.iter().enumerate() {
        let arrays = plan
            .placements
            .iter()
            .filter(|placement| placement.layer == layer);
        let (count, used) = arrays.fold((0usize, 0.0), |(count, used), placement| {
            (
                count + 1,
                used + placement.rows as f64 * placement.columns as f64,
            )
        });
        let text = format!(
            "{} {}: {count} array{}, {:.1} % in use",
            layer + 1,
            path.strip_suffix(".weight").unwrap_or(path),
            if count == 1 { "" } else { "s" },
            100.0 * used / (cells * count as f64)
        );
        let text = shorten(&text, ((column - 28.0) / sheet.character) as usize);
        let x = MARGIN + (layer / rows) as f64 * column;
        let y = drawing.height + 14.0 + (layer % rows) as f64 * 22.0;
        put(
            &mut drawing.body,
            format_args!(
                "<g class=\"{}\"><path class=\"whole\" d=\"M{x:.1} {:.1}h14v14h-14z\"/><path class=\"used\" d=\"M{x:.1} \
                 {:.1}h14v14h-14z\"/></g><text x=\"{:.1}\" y=\"{y:.1}\" dy=\".35em\">{}</text>\n",
                class(layer),
                y - 7.0,
                y - 7.0,
                x + 20.0,
                escape(&text)
            ),
        );
    }
    drawing.height += 14.0 + rows as f64 * 22.0 + 6.0;
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_hardware::cost::{Accelerator, ArrayShape, CostConfig, LayerShape};

    use super::*;

    fn plan(layers: &[LayerShape]) -> FloorPlan {
        let cost = CostConfig::preset("isaac").unwrap();
        let accelerator = Accelerator::new(cost, ArrayShape::default()).unwrap();
        accelerator.floor_plan(layers).unwrap()
    }

    #[test]
    fn tiles_are_about_square() {
        for (arrays, columns) in [(96, 12), (256, 16), (16, 4), (7, 3), (1, 1)] {
            assert_eq!(beside(arrays), columns, "{arrays}");
        }
    }

    #[test]
    fn squares_of_all_arrays_lie_inside_the_picture() {
        // Pairs of columns: 36 × 32 arrays in 12 tiles, and one more.
        let plan = plan(&[
            LayerShape::linear("a", 36 * 128, 16 * 128),
            LayerShape::linear("<b>", 10, 3),
        ]);
        assert_eq!((plan.tiles, plan.placements.len()), (13, 36 * 32 + 1));
        let drawing = drawn(&plan, BROAD);
        let svg = drawing.inline();
        assert!(svg.contains("1153 arrays in 13 tiles on 1 chip"), "{svg}");
        assert!(svg.contains("2 &lt;b&gt;: 1 array, 0.4 % in use"), "{svg}");
        let squares = svg.matches("M").count();
        // Two shapes per array, two per layer in the legend, 95 free arrays.
        assert_eq!(squares, 2 * 1153 + 2 * 2 + 95);
        let grid = Grid::new(BROAD, 18.0, 96);
        // Tiles of 12 squares, 238 wide: four in a line.
        assert!(grid.tile(0, 3, 168).1 == 0.0 && grid.tile(0, 4, 168).1 > 0.0);
        assert_eq!(grid.tile(1, 0, 168).0, MARGIN);
        assert_eq!(
            grid.lines(169, 168),
            168usize.div_ceil(grid.tiles_per_line) + 1
        );
        // On a narrow screen squares of 12 make tiles of 166: three in a line.
        assert_eq!(Grid::new(SLIM, 12.0, 96).tiles_per_line, 3);
        assert_eq!(drawn(&plan, SLIM).inline().matches('M').count(), squares);
    }
}
