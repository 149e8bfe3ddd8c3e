//! Weights in memory: kept weights, and an index that says where they stood.

use serde::{Deserialize, Serialize};

use super::{IntegerLayer, Sparsity};
use crate::HardwareError;

/// How absent weights are written. Sizes are those of R weights of b bits of which K are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightIndex {
    /// All weights in order, absent ones too: `R b` bits. Weights of 1 bit need all to be kept.
    Dense,
    /// Each kept weight with its place in its group of M: `K (b + ceil(log2 M))` bits. Needs balanced sparsity.
    Offsets,
    /// One bit for each weight of a group, then the kept weights: `R + K b` bits.
    Bitmap,
}

impl WeightIndex {
    /// Bits of `weights` weights of `width` bits in this form, of which `kept` are kept.
    fn bits(self, sparsity: Sparsity, weights: usize, kept: usize, width: u8) -> u64 {
        let (weights, kept, width) = (weights as u64, kept as u64, u64::from(width));
        match self {
            Self::Dense => weights * width,
            Self::Bitmap => weights + kept * width,
            Self::Offsets => kept * (width + u64::from(offset_bits(sparsity))),
        }
    }
}

impl Sparsity {
    /// The form in which `weights` weights of `width` bits, of which `kept` are kept, take the least memory, and the bits that they take; of
    /// two forms that are as small the bitmap.
    ///
    /// A layer with absent weights keeps an index even where the dense form is smaller: without the index the array would not know which
    /// weights to skip.
    ///
    /// ```
    /// use crossburn_hardware::accelerator::{Sparsity, WeightIndex};
    ///
    /// let half = Sparsity::Balanced { kept: 2, group: 4 };
    /// // 64 weights of 8 bits take 512 bits. Half of them take 256, and a bitmap 64.
    /// assert_eq!(Sparsity::Dense.stored(64, 64, 8), (WeightIndex::Dense, 512));
    /// assert_eq!(half.stored(64, 32, 8), (WeightIndex::Bitmap, 320));
    /// // Two bits: the bitmap costs what it spares. One bit: more than that.
    /// assert_eq!((half.stored(64, 32, 2).1, half.stored(64, 32, 1).1), (128, 96));
    /// ```
    pub fn stored(self, weights: usize, kept: usize, width: u8) -> (WeightIndex, u64) {
        let form = |form: WeightIndex| (form, form.bits(self, weights, kept, width));
        let (bitmap, offsets) = (form(WeightIndex::Bitmap), form(WeightIndex::Offsets));
        match self {
            Self::Dense => form(WeightIndex::Dense),
            Self::Balanced { .. } if offsets.1 < bitmap.1 => offsets,
            Self::Balanced { .. } | Self::Unstructured => bitmap,
        }
    }
}

/// The weights of a layer as the accelerator's memory holds them.
///
/// Outputs follow each other, in each of them its groups; unstructured weights are one group. Weights are written in two's
/// complement, lowest bit first; of 1 bit, 1 is -1 and 0 is 1. A weight of 1 bit has no value for "absent", so the index alone says which weights are absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PackedWeights {
    index: WeightIndex,
    sparsity: Sparsity,
    weight_bits: u8,
    shape: [usize; 3],
    bits: u64,
    /// The last may have unused bits.
    bytes: Vec<u8>,
}

impl PackedWeights {
    /// The weights of a checked layer in their smallest form.
    pub(super) fn new(layer: &IntegerLayer) -> Self {
        let (all, kept) = (layer.weights.len(), layer.kept_weights());
        let (index, _) = layer.sparsity.stored(all, kept, layer.weight_bits);
        Self::pack(layer, index)
    }

    /// The bits of a checked layer in the form `index`.
    pub(super) fn size(layer: &IntegerLayer, index: WeightIndex) -> u64 {
        let (all, kept) = (layer.weights.len(), layer.kept_weights());
        index.bits(layer.sparsity, all, kept, layer.weight_bits)
    }

    /// A checked layer in the form `index`, which suits its sparsity.
    fn pack(layer: &IntegerLayer, index: WeightIndex) -> Self {
        let width = u32::from(layer.weight_bits);
        let offset = offset_bits(layer.sparsity);
        let mut stream = BitWriter::default();
        for output in 0..layer.outputs() {
            let (row, first) = (layer.row(output), output * layer.reduction());
            for group in layer.sparsity.groups(row.len()) {
                let start = group.start;
                if index == WeightIndex::Bitmap {
                    group
                        .clone()
                        .for_each(|at| stream.write(u32::from(layer.is_kept(first + at)), 1));
                }
                for at in
                    group.filter(|at| index == WeightIndex::Dense || layer.is_kept(first + at))
                {
                    if index == WeightIndex::Offsets {
                        stream.write((at - start) as u32, offset);
                    }
                    let code = match width {
                        1 => u32::from(row[at] < 0),
                        _ => row[at] as u32,
                    };
                    stream.write(code, width);
                }
            }
        }
        Self {
            index,
            sparsity: layer.sparsity,
            weight_bits: layer.weight_bits,
            shape: layer.shape,
            bits: stream.bits,
            bytes: stream.bytes,
        }
    }

    /// The form.
    pub(super) fn index(&self) -> WeightIndex {
        self.index
    }

    /// Bits in use.
    pub(super) fn bits(&self) -> u64 {
        self.bits
    }

    /// The kept weights of each output with their places on the reduction axis; every weight in the dense form.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for bytes that end too early or name a place twice.
    pub(super) fn kept_weights(&self) -> Result<Vec<Vec<(usize, i8)>>, HardwareError> {
        let damaged = || {
            HardwareError::conflict(
                "packed weights end too early, or name a place twice",
                "pack them again from the network",
            )
        };
        let width = u32::from(self.weight_bits);
        let reduction = self.shape[1] * self.shape[2];
        let offset = offset_bits(self.sparsity);
        let mut stream = BitReader {
            bytes: &self.bytes,
            at: 0,
        };
        let mut rows = Vec::with_capacity(self.shape[0]);
        for _ in 0..self.shape[0] {
            let mut row: Vec<(usize, i8)> = Vec::new();
            for group in self.sparsity.groups(reduction) {
                let places: Vec<usize> = match self.index {
                    WeightIndex::Dense => group.clone().collect(),
                    WeightIndex::Bitmap => {
                        let mut places = Vec::new();
                        for at in group.clone() {
                            if stream.read(1).ok_or_else(damaged)? == 1 {
                                places.push(at);
                            }
                        }
                        places
                    }
                    WeightIndex::Offsets => Vec::new(),
                };
                let count = match self.index {
                    WeightIndex::Offsets => self.sparsity.kept_of(group.len()).unwrap_or(0),
                    _ => places.len(),
                };
                for number in 0..count {
                    let place = match places.get(number) {
                        Some(place) => *place,
                        None => group.start + stream.read(offset).ok_or_else(damaged)? as usize,
                    };
                    if place >= group.end || row.last().is_some_and(|(last, _)| place <= *last) {
                        return Err(damaged());
                    }
                    let code = stream.read(width).ok_or_else(damaged)?;
                    let weight = match width {
                        1 => 1 - 2 * code as i8,
                        // From the top of a byte down again: the sign fills the bits above.
                        _ => ((code as u8) << (8 - width)) as i8 >> (8 - width),
                    };
                    row.push((place, weight));
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// Bits of a place within a group; 0 where there are no groups.
fn offset_bits(sparsity: Sparsity) -> u32 {
    let group = sparsity.group().unwrap_or(1).max(1);
    usize::BITS - (group - 1).leading_zeros()
}

/// Bits one after the other, the lowest of each byte first.
#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    bits: u64,
}

impl BitWriter {
    /// The lowest `count` bits of `value`.
    fn write(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= (((value >> bit) & 1) as u8) << (self.bits % 8);
            }
            self.bits += 1;
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    /// The next `count` bits; `None` at the end.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from((byte >> (self.at % 8)) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::accelerator::testing::{layers, small_layer};
    use proptest::prelude::*;
    use rstest::rstest;

    /// By hand: 2:4 keeps 2 of 4 weights with 2 bits of offset each, 8:16 keeps 8 of 16 with 4 bits of offset each.
    #[rstest]
    // 1 bit: offsets 2 (1 + 2) = 6 and bitmap 4 + 2 = 6, against 4 dense: the sparse form is larger.
    #[case(2, 4, 1, [4, 6, 6])]
    // 2 bits: offsets 2 (2 + 2) = 8 and bitmap 4 + 4 = 8, as many as the dense form: the break-even width of a half.
    #[case(2, 4, 2, [8, 8, 8])]
    #[case(2, 4, 4, [16, 12, 12])]
    #[case(2, 4, 8, [32, 20, 20])]
    // 8:16, 1 bit: offsets 8 (1 + 4) = 40, bitmap 16 + 8 = 24, dense 16.
    #[case(8, 16, 1, [16, 40, 24])]
    #[case(8, 16, 2, [32, 48, 32])]
    // 4 bits: offsets save nothing, the bitmap a quarter.
    #[case(8, 16, 4, [64, 64, 48])]
    #[case(8, 16, 8, [128, 96, 80])]
    // 1:16: one offset of 4 bits is shorter than a bitmap of 16.
    #[case(1, 16, 4, [64, 8, 20])]
    fn sizes_are_those_of_a_calculation_by_hand(
        #[case] kept: usize,
        #[case] group: usize,
        #[case] width: u8,
        #[case] expected: [u64; 3],
    ) {
        let sparsity = Sparsity::Balanced { kept, group };
        let forms = [
            WeightIndex::Dense,
            WeightIndex::Offsets,
            WeightIndex::Bitmap,
        ];
        let sizes = forms.map(|form| form.bits(sparsity, group, kept, width));
        assert_eq!(sizes, expected);
        let layer = small_layer(sparsity, width, [1, 1, group]);
        let packed = [WeightIndex::Offsets, WeightIndex::Bitmap]
            .map(|index| PackedWeights::pack(&layer, index).bits());
        assert_eq!(packed, expected[1..]);
        assert_eq!(
            PackedWeights::new(&layer).bits(),
            expected[1].min(expected[2])
        );
    }

    /// The rule of a half: a bitmap is smaller than the dense form above two bits only, with every group.
    #[test]
    fn half_of_the_weights_save_memory_above_two_bits_only() {
        for (kept, group) in [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32)] {
            let sparsity = Sparsity::Balanced { kept, group };
            for width in [1, 2, 4, 8] {
                let size = |form: WeightIndex| form.bits(sparsity, group, kept, width);
                let (bitmap, dense) = (size(WeightIndex::Bitmap), size(WeightIndex::Dense));
                assert_eq!(bitmap.cmp(&dense), 2.cmp(&width), "{kept}:{group} {width}");
            }
        }
    }

    #[test]
    fn the_smallest_form_is_stored() {
        let of = |kept, group| Sparsity::Balanced { kept, group };
        // 1:4 keeps 16: 16 (8 + 2) bits with offsets, 16 · 8 + 64 with a bitmap.
        assert_eq!(of(1, 4).stored(64, 16, 8), (WeightIndex::Offsets, 160));
        // 8:16 keeps 32: an offset takes 4 bits, a bitmap 2 for each weight that is kept.
        let bitmap = (WeightIndex::Bitmap, 32 * 4 + 64);
        assert_eq!(of(8, 16).stored(64, 32, 4), bitmap);
        assert_eq!(Sparsity::Unstructured.stored(64, 32, 4), bitmap);
        // Offsets in groups of five take three bits.
        assert_eq!(of(1, 5).stored(64, 13, 1), (WeightIndex::Offsets, 13 * 4));
        // Few absent weights of 2 bits take more than all of them would.
        assert_eq!(of(3, 4).stored(64, 48, 2), (WeightIndex::Bitmap, 160));
    }

    #[test]
    fn bytes_are_those_of_the_definition() {
        let layer = IntegerLayer {
            weights: vec![0, -3, 7, 0, 5, 0],
            kept: vec![false, true, true, false, true, false],
            ..small_layer(Sparsity::Balanced { kept: 2, group: 4 }, 4, [1, 1, 6])
        };
        // In the order of writing, lowest bits first: bitmap 0110, -3 as 1011, 7 as 1110; then the last group, bitmap 10, 5 as 1010.
        let bitmap = PackedWeights::pack(&layer, WeightIndex::Bitmap);
        assert_eq!(bitmap.bytes, [0b1101_0110, 0b0101_0111, 0b01]);
        assert_eq!(bitmap.bits(), 18);
        // Offset 1 as 10, then -3; offset 2 as 01, then 7; offset 0 as 00, then 5.
        let offsets = PackedWeights::pack(&layer, WeightIndex::Offsets);
        assert_eq!(offsets.bytes, [0b1011_0101, 0b0100_0111, 0b01]);
        assert_eq!(
            offsets.kept_weights().unwrap(),
            [vec![(1, -3), (2, 7), (4, 5)]]
        );
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let layer = small_layer(Sparsity::Balanced { kept: 2, group: 4 }, 4, [3, 2, 4]);
        let mut cut = PackedWeights::pack(&layer, WeightIndex::Bitmap);
        cut.bytes.pop();
        assert!(cut.kept_weights().is_err());
        let mut twice = PackedWeights::pack(&layer, WeightIndex::Offsets);
        twice.bytes.fill(0);
        assert!(twice.kept_weights().is_err());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(layer in layers()) {
            let forms = match layer.sparsity {
                Sparsity::Dense => vec![WeightIndex::Dense, WeightIndex::Bitmap],
                Sparsity::Balanced { .. } => vec![WeightIndex::Offsets, WeightIndex::Bitmap],
                Sparsity::Unstructured => vec![WeightIndex::Bitmap],
            };
            for form in forms {
                let packed = PackedWeights::pack(&layer, form);
                prop_assert_eq!(packed.bits(), PackedWeights::size(&layer, form));
                prop_assert_eq!(packed.bytes.len() as u64, packed.bits().div_ceil(8));
                for (output, row) in packed.kept_weights().unwrap().into_iter().enumerate() {
                    let first = output * layer.reduction();
                    let expected = layer.row(output).iter().copied().enumerate();
                    let expected: Vec<_> = expected.filter(|(at, _)| layer.is_kept(first + at)).collect();
                    prop_assert_eq!(row, expected);
                }
            }
        }
    }
}
