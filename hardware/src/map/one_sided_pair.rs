//! A pair of cells of which one carries the weight.

use super::integers::{Cells, round_to_integer};
use super::mapped_matrix::{MappedMatrix, Polarity, Reference};
use super::mapping::Mapping;
use super::slices::Digits;
use crate::HardwareError;

/// The magnitude on the cell of the weight's sign, `g_min` on the other:
///
/// ```text
/// W = round(w L / max|w|),  L = 2^(bits-1) - 1          g± = g_min + (g_max - g_min) d_s(max(±W, 0)) / (2^width - 1)
/// ```
///
/// `g_min` cancels when cells are ideal; variation acts on both cells, also on the idle one.
///
/// # Source
/// Xiao et al., IEEE Circuits and Systems Magazine 2022, section on balanced (differential) core designs.
pub(super) fn map(mapping: &Mapping, cells: Cells<'_>) -> Result<MappedMatrix, HardwareError> {
    let level = mapping.weight_bits.max_level();
    let digits = Digits::new(mapping, mapping.bits_in_cells().into())?;
    let mut planes = Vec::new();
    for slice in digits.range() {
        for (polarity, sign) in [(Polarity::Positive, level), (Polarity::Negative, -level)] {
            planes.push(cells.plane(slice, polarity, None, |w| {
                digits.fraction(round_to_integer(w * sign).max(0), slice)
            }));
        }
    }
    Ok(cells.finish(level, planes, digits.slices(), Reference::None))
}
