//! Events in the arrays of a layer during one image.

use serde::{Deserialize, Serialize};

use super::layer_tiling::LayerTiling;
use super::{ArrayShape, LayerShape};

/// Counts per image.
///
/// ```text
/// row drives      P g K T n_in                                          array reads     P A n_in
/// conversions     P g ceil(K / R) (M S d' + T references) n_conv        shift-adds      as many
/// partial sums    P g (ceil(K / R) - 1) M
/// buffer bits     P g (K b_in + M b_out)      bus bits  P g K b_in      router bits     P g M b_out
/// ```
///
/// P positions, g groups, T arrays along the outputs (ceil(M S d / C) of them if interleaved); n_conv = n_in, or 1 where
/// an integrator adds up the input slices; d' = 1 where pairs are subtracted before the converter. Inputs are read from the buffer and cross the bus once per position, outputs are
/// written once and cross one router.
///
/// # Source
/// Counts as ISAAC's pipeline performs them: Shafiee et al., ISCA 2016, sections on the tile and on the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// Rows driven, per row, array and cycle.
    pub row_drives: u64,
    /// Arrays read, per array and cycle.
    pub array_reads: u64,
    /// Conversions.
    pub conversions: u64,
    /// Shift and add operations.
    pub shift_adds: u64,
    /// Additions of partial sums of row tiles.
    pub partial_sums: u64,
    /// Bits read from and written to the buffer.
    pub buffer_bits: u64,
    /// Bits over the tile's bus.
    pub bus_bits: u64,
    /// Bits over a router.
    pub router_bits: u64,
}

impl Events {
    pub(super) fn of(layer: &LayerShape, array: &ArrayShape, tiling: &LayerTiling) -> Self {
        let repeats = layer.positions as u64 * layer.groups as u64;
        let cycles = array.input_cycles() as u64;
        let [inputs, outputs, row_tiles, column_tiles] = [
            layer.inputs,
            layer.outputs,
            tiling.row_tiles,
            tiling.column_tiles,
        ]
        .map(|count| count as u64);
        let converted = outputs * array.conversions_per_output() as u64
            + column_tiles * array.reference_columns as u64;
        let conversions = repeats * row_tiles * converted * array.conversion_cycles() as u64;
        let input_bits = repeats * inputs * u64::from(array.input_bits);
        let output_bits = repeats * outputs * u64::from(array.output_bits);
        Self {
            row_drives: repeats * inputs * column_tiles * cycles,
            array_reads: repeats * row_tiles * column_tiles * cycles,
            conversions,
            shift_adds: conversions,
            partial_sums: repeats * (row_tiles - 1) * outputs,
            buffer_bits: input_bits + output_bits,
            bus_bits: input_bits,
            router_bits: output_bits,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            row_drives: self.row_drives.saturating_add(other.row_drives),
            array_reads: self.array_reads.saturating_add(other.array_reads),
            conversions: self.conversions.saturating_add(other.conversions),
            shift_adds: self.shift_adds.saturating_add(other.shift_adds),
            partial_sums: self.partial_sums.saturating_add(other.partial_sums),
            buffer_bits: self.buffer_bits.saturating_add(other.buffer_bits),
            bus_bits: self.bus_bits.saturating_add(other.bus_bits),
            router_bits: self.router_bits.saturating_add(other.router_bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Accumulation, Layout, Subtraction};
    use super::*;

    fn shape() -> ArrayShape {
        ArrayShape {
            rows: 4,
            columns: 6,
            weight_bits: 5,
            slice_bits: Some(2),
            input_bits: 3,
            input_slice_bits: 2,
            output_bits: 7,
            ..ArrayShape::default()
        }
    }

    #[test]
    fn a_small_layer_counted_by_hand() {
        // K = 5, M = 4, g = 2, P = 3; S = 2, d = 2, N = 16; R = 4, C = 6: 2 row tiles, 3 column tiles; n_in = 2.
        let layer = LayerShape {
            groups: 2,
            positions: 3,
            ..LayerShape::linear("w", 5, 4)
        };
        let events =
            |array: &ArrayShape| Events::of(&layer, array, &LayerTiling::of(&layer, array));
        let expected = Events {
            row_drives: 3 * 2 * 5 * 3 * 2,
            array_reads: 3 * 2 * 2 * 3 * 2,
            conversions: 3 * 2 * 2 * 4 * 2 * 2,
            shift_adds: 3 * 2 * 2 * 4 * 2 * 2,
            partial_sums: 3 * 2 * 4,
            buffer_bits: 3 * 2 * (5 * 3 + 4 * 7),
            bus_bits: 3 * 2 * 5 * 3,
            router_bits: 3 * 2 * 4 * 7,
        };
        assert_eq!(events(&shape()), expected);
        let digital = ArrayShape {
            subtraction: Subtraction::Digital,
            ..shape()
        };
        assert_eq!(events(&digital).conversions, 2 * expected.conversions);
        let integrated = ArrayShape {
            accumulation: Accumulation::Analog,
            ..shape()
        };
        assert_eq!(events(&integrated).conversions * 2, expected.conversions);
        assert_eq!(events(&integrated).array_reads, expected.array_reads);
        // Four planes of one array each: 4 column tiles.
        let separate = ArrayShape {
            layout: Layout::Separate,
            ..shape()
        };
        assert_eq!(events(&separate).row_drives, 3 * 2 * 5 * 4 * 2);
        assert_eq!(events(&separate).conversions, expected.conversions);
        // One column of six is a reference: N = 16 over 5 columns, 4 column tiles with one more conversion each.
        let reference = ArrayShape {
            reference_columns: 1,
            ..shape()
        };
        assert_eq!(events(&reference).conversions, 3 * 2 * 2 * (4 * 2 + 4) * 2);
    }
}
