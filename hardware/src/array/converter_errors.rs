//! The converters of one chip, drawn.

use crossburn_noise::ParameterDraws;

use super::{Adc, OffsetSharing};
use crate::map::Tiling;

/// Errors of the converters of one bank of lines.
#[derive(Clone, Debug)]
pub(super) struct LineErrors {
    /// Factor of the current, per line.
    pub(super) gains: Vec<f32>,
    /// Steps added before rounding, per line.
    pub(super) offsets: Vec<f32>,
    /// Weights of the bits, `[bits, lines]`, the lowest first; empty where they match.
    pub(super) weights: Vec<f32>,
}

/// The errors of every bank, drawn in a layout that does not depend on which effects are on: gains of all converters,
/// offsets of all lines, capacitors of all converters.
pub(super) fn draw(
    adc: &Adc,
    tiling: &Tiling,
    banks: usize,
    draws: &dyn ParameterDraws,
) -> Vec<LineErrors> {
    // Lines of one array are shared out; no converter reads two arrays.
    let mut converter_of_line = Vec::new();
    let mut first_of_converter = Vec::new();
    for tile in 0..tiling.column_tiles {
        for (column, line) in tiling.output_range(tile).enumerate() {
            if column % adc.columns_per_converter == 0 {
                first_of_converter.push(line);
            }
            converter_of_line.push(first_of_converter.len() - 1);
        }
    }
    let (lines, converters) = (converter_of_line.len(), first_of_converter.len());
    let bits = usize::from(adc.bits);
    let mut normals = vec![0.0f32; banks * (converters * (1 + bits) + lines)];
    draws.fill_normal(&mut normals);
    let (gains, rest) = normals.split_at(banks * converters);
    let (offsets, capacitors) = rest.split_at(banks * lines);
    let bank = |bank: usize| {
        let gain = |line: usize| {
            let draw = gains[bank * converters + converter_of_line[line]];
            adc.gain_error.map_or(1.0, |error| error.factor(draw))
        };
        let offset = |line: usize| {
            adc.comparator_offset.map_or(0.0, |error| {
                let drawn = match error.sharing {
                    OffsetSharing::PerColumn => line,
                    OffsetSharing::PerConverter => first_of_converter[converter_of_line[line]],
                };
                error.steps(offsets[bank * lines + drawn])
            })
        };
        let mut weights = Vec::new();
        if let Some(mismatch) = adc.capacitor_mismatch {
            weights.resize(bits * lines, 0.0);
            for (line, converter) in converter_of_line.iter().enumerate() {
                let draws = &capacitors[(bank * converters + converter) * bits..][..bits];
                for (bit, weight) in mismatch.weights(draws).into_iter().enumerate() {
                    weights[bit * lines + line] = weight;
                }
            }
        }
        LineErrors {
            gains: (0..lines).map(gain).collect(),
            offsets: (0..lines).map(offset).collect(),
            weights,
        }
    };
    (0..banks).map(bank).collect()
}
