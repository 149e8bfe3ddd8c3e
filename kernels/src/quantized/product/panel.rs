//! Products of a panel of sixteen rows on any processor.

use super::super::input::QuantizedInput;
use super::super::interleaved::{ROWS, parts, separate};
use super::WeightFormat;

/// The products of the rows of a panel; NaN for a format that has no panels.
pub(super) fn product(format: WeightFormat, panel: &[u8], input: &QuantizedInput) -> [f32; ROWS] {
    let Some(parts) = parts(format) else {
        return [f32::NAN; ROWS];
    };
    let mut lanes = [0.0f32; ROWS];
    let mut block = vec![0; format.block_bytes()];
    let blocks = panel.chunks_exact(ROWS * format.block_bytes());
    for (blocks, x) in blocks.zip(&input.groups) {
        for (row, lane) in lanes.iter_mut().enumerate() {
            separate(parts, blocks, row, &mut block);
            format.each_group(&block, |group| {
                let products = group.quants.iter().zip(x.quants);
                let sum: i32 = products.map(|(q, x)| i32::from(*q) * i32::from(x)).sum();
                *lane = (group.scales[0] * x.scale).mul_add(sum as f32, *lane);
                if let Some(offset) = group.offset {
                    *lane = offset.mul_add(x.sum, *lane);
                }
            });
        }
    }
    lanes
}
