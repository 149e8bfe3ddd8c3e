//! Products on any processor.

use super::super::format::{bf16, f16};
use super::{Input, Rows, WeightFormat, folded, panel};

pub(super) fn products(rows: Rows<'_>, input: Input<'_>, out: &mut [f32]) {
    let format = rows.format;
    if let (true, Input::Quantized(x)) = (rows.interleaved, input) {
        return rows.each_panel(out, |bytes| panel::product(format, bytes, x));
    }
    for (row, out) in rows.bytes.chunks_exact(rows.row_bytes).zip(out) {
        *out = match (format, input) {
            (WeightFormat::F32, Input::Floats(x)) => plain(row, x, f32::from_le_bytes),
            (WeightFormat::F16, Input::Floats(x)) => plain(row, x, f16),
            (WeightFormat::BF16, Input::Floats(x)) => plain(row, x, bf16),
            (_, Input::Quantized(_)) => blocks(format, row, input),
            // Only formats without blocks take floats.
            (_, Input::Floats(_)) => f32::NAN,
        };
    }
}

fn blocks(format: WeightFormat, row: &[u8], input: Input<'_>) -> f32 {
    let Input::Quantized(input) = input else {
        return f32::NAN;
    };
    let (mut lanes, mut offsets) = ([[0.0f32; 8]; 2], [0.0f32; 2]);
    let mut place = 0;
    format.each_group(row, |group| {
        let x = &input.groups[place];
        let turn = place % 2;
        place += 1;
        let quants = group.quants.as_chunks::<4>().0.iter();
        for (lane, (q, x4)) in quants.zip(x.quants.as_chunks::<4>().0).enumerate() {
            let products = q.iter().zip(x4).map(|(q, x)| i32::from(*q) * i32::from(*x));
            let sum: i32 = products.sum();
            let scale = group.scales[lane / 4] * x.scale;
            lanes[turn][lane] = scale.mul_add(sum as f32, lanes[turn][lane]);
        }
        if let Some(offset) = group.offset {
            offsets[turn] = offset.mul_add(x.sum, offsets[turn]);
        }
    });
    let [even, odd] = lanes;
    folded(std::array::from_fn(|lane| even[lane] + odd[lane])) + (offsets[0] + offsets[1])
}

/// 32 sums side by side; then the numbers after the last whole 32, one after the other.
fn plain<const BYTES: usize>(row: &[u8], x: &[f32], read: impl Fn([u8; BYTES]) -> f32) -> f32 {
    let (weights, _) = row.as_chunks::<BYTES>();
    let (groups, rest) = weights.as_chunks::<32>();
    let (inputs, last) = x.as_chunks::<32>();
    let mut lanes = [0.0f32; 32];
    for (weights, inputs) in groups.iter().zip(inputs) {
        for ((lane, weight), input) in lanes.iter_mut().zip(weights).zip(inputs) {
            *lane = read(*weight).mul_add(*input, *lane);
        }
    }
    let at = |lane: usize| (lanes[lane] + lanes[lane + 8]) + (lanes[lane + 16] + lanes[lane + 24]);
    let mut tail = 0.0f32;
    for (weight, input) in rest.iter().zip(last) {
        tail = read(*weight).mul_add(*input, tail);
    }
    folded(std::array::from_fn(at)) + tail
}
