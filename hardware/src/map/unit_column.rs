//! One cell per weight; the offset that makes it signed is measured on one more line.

use super::digital_offset::offset;
use super::integers::{Cells, round_to_integer};
use super::mapped_matrix::{MappedMatrix, Polarity, Reference};
use super::mapping::Mapping;
use super::slices::Digits;
use crate::HardwareError;

/// The levels of the digital offset, and a line before them with the level of zero, `2^(bits-1)`, in every cell:
///
/// ```text
/// y[o] = I[o] - I[unit]
/// ```
///
/// Both currents are converted and subtracted digitally, so `g_min` cancels, and what goes wrong on that line is common to
/// all outputs of its array. Every array has such a line ([`MappedMatrix::on_columns`]); here there is one for all.
///
/// # Source
/// Shafiee et al., "ISAAC", ISCA 2016, section IV (unit column); Xiao et al., IEEE Circuits and Systems Magazine 2022.
pub(super) fn map(mapping: &Mapping, cells: Cells<'_>) -> Result<MappedMatrix, HardwareError> {
    let (level, offset) = (mapping.weight_bits.max_level(), offset(mapping));
    let digits = Digits::new(mapping, mapping.weight_bits.get().into())?;
    let planes = digits.range().map(|slice| {
        let unit = digits.fraction(offset, slice);
        cells.plane(slice, Polarity::Positive, Some(unit), |w| {
            digits.fraction(round_to_integer(w * level) + offset, slice)
        })
    });
    let planes = planes.collect();
    let reference = Reference::UnitColumn {
        outputs: cells.outputs(),
    };
    Ok(cells.finish(level, planes, digits.slices(), reference))
}
