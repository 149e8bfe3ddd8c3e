//! Sixteen rows of blocks side by side.
//!
//! A product with one row of inputs takes most of its time to unpack each block: its scale alone takes five instructions. Here the blocks of sixteen rows
//! lie as a vector of sixteen lanes needs them, so that one instruction unpacks sixteen scales, and one multiplies four numbers of each row.
//!
//! Sixteen rows are a **panel**. For each place of a block in the rows, a panel has:
//!
//! ```text
//! Q8_0    d of each row                  quants 0-3 of each row, 4-7 of each row, ..., 28-31 of each row
//! Q4_0    d of each row                  bytes 0-3 of the quants of each row, ..., 12-15 of each row
//! Q4_1    d of each row, m of each row   as Q4_0
//! ```
//!
//! These are the same bytes in another order.

use super::WeightFormat;

/// Rows of a panel.
pub(super) const ROWS: usize = 16;

/// The parts of a block: numbers in half precision, then quants in fours of bytes. `None` if the format is not interleaved.
pub(super) fn parts(format: WeightFormat) -> Option<[usize; 2]> {
    match format {
        WeightFormat::Q8_0 => Some([1, 8]),
        WeightFormat::Q4_0 => Some([1, 4]),
        WeightFormat::Q4_1 => Some([2, 4]),
        _ => None,
    }
}

impl WeightFormat {
    /// Whether [`QuantizedMatrix::interleaved`](super::QuantizedMatrix::interleaved) copies a matrix of this format with so many outputs.
    #[must_use]
    pub fn interleaves(self, outputs: usize) -> bool {
        parts(self).is_some() && outputs.is_multiple_of(ROWS)
    }
}

/// Calls `each` with every part of row `row` of a panel: its place in the row, its place in the panel, and its bytes.
fn each_part(
    [halves, fours]: [usize; 2],
    row_bytes: usize,
    row: usize,
    mut each: impl FnMut(usize, usize, usize),
) {
    let block_bytes = 2 * halves + 4 * fours;
    for start in (0..row_bytes).step_by(block_bytes) {
        for half in 0..halves {
            let at = start + 2 * half;
            each(at, ROWS * at + 2 * row, 2);
        }
        for four in 0..fours {
            let at = start + 2 * halves + 4 * four;
            each(at, ROWS * at + 4 * row, 4);
        }
    }
}

/// The panels of `rows`, which must be whole panels, in a format that has `parts`.
pub(super) fn interleave(parts: [usize; 2], rows: &[u8], row_bytes: usize) -> Vec<u8> {
    let mut panels = vec![0; rows.len()];
    let sources = rows.chunks_exact(ROWS * row_bytes);
    for (panel, rows) in panels.chunks_exact_mut(ROWS * row_bytes).zip(sources) {
        for (place, row) in rows.chunks_exact(row_bytes).enumerate() {
            each_part(parts, row_bytes, place, |from, to, count| {
                panel[to..to + count].copy_from_slice(&row[from..from + count]);
            });
        }
    }
    panels
}

/// Writes row `row` of a panel to `out`.
pub(super) fn separate(parts: [usize; 2], panel: &[u8], row: usize, out: &mut [u8]) {
    each_part(parts, out.len(), row, |to, from, count| {
        out[to..to + count].copy_from_slice(&panel[from..from + count]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_has_the_scales_and_then_four_quants_of_each_row() {
        // Two blocks of Q8_0 in each row. A byte is the number of its row, 16 more in the second block, 128 more if it belongs to the scale.
        let row = |row: u8| {
            let block = |more: u8| [vec![128 + row + more; 2], vec![row + more; 32]].concat();
            [block(0), block(16)].concat()
        };
        let rows: Vec<u8> = (0..16).flat_map(row).collect();
        let panel = interleave([1, 8], &rows, 68);
        let of_all = |first: u8, count: usize| -> Vec<u8> {
            (first..first + 16)
                .flat_map(|byte| vec![byte; count])
                .collect()
        };
        assert_eq!(panel[..32], of_all(128, 2));
        assert_eq!(panel[32..96], of_all(0, 4));
        assert_eq!(panel[544..576], of_all(144, 2));
        assert_eq!(panel[1024..], of_all(16, 4));
        let mut found = vec![0; 68];
        separate([1, 8], &panel, 5, &mut found);
        assert_eq!(found, row(5));
    }
}
