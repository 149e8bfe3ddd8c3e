//! One cell per weight; the offset that makes it signed is subtracted digitally.

use super::integers::{Cells, round_to_integer};
use super::mapped_matrix::{MappedMatrix, Polarity, Reference};
use super::mapping::Mapping;
use super::slices::Digits;
use crate::HardwareError;

/// The integer shifted to be positive:
///
/// ```text
/// W = round(w L / max|w|)          g = g_min + (g_max - g_min) d_s(W + 2^(bits-1)) / (2^width - 1)
/// ```
///
/// Zero is the level `2^(bits-1)`, the lowest level is never used. After conversion `2^(bits-1) Σ x` and the part of
/// `g_min` are subtracted.
///
/// # Source
/// Shafiee et al., "ISAAC", ISCA 2016, section IV. CrossSim 3.2 has the same levels but reads weights back smaller by
/// `(2^bits - 2) / (2^bits - 1)`; here they are read back as they are.
pub(super) fn map(mapping: &Mapping, cells: Cells<'_>) -> Result<MappedMatrix, HardwareError> {
    let (level, offset) = (mapping.weight_bits.max_level(), offset(mapping));
    let digits = Digits::new(mapping, mapping.weight_bits.get().into())?;
    let planes = digits.range().map(|slice| {
        cells.plane(slice, Polarity::Positive, None, |w| {
            digits.fraction(round_to_integer(w * level) + offset, slice)
        })
    });
    let planes = planes.collect();
    let reference = Reference::Digital(offset as f32);
    Ok(cells.finish(level, planes, digits.slices(), reference))
}

/// The integer that stands for zero.
pub(super) fn offset(mapping: &Mapping) -> i32 {
    1 << (mapping.weight_bits.get() - 1)
}
