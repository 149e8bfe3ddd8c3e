//! A pair of cells that move in opposite directions.

use super::integers::{Cells, round};
use super::mapped_matrix::{MappedMatrix, Polarity, Reference, Slice};
use super::mapping::Mapping;
use crate::HardwareError;

/// Both cells around the middle of the range:
///
/// ```text
/// g± = g_min + (g_max - g_min) (1 ± w) / 2          w in [-1, 1]
/// ```
///
/// The current of a pair does not depend on its weight. Integers of `bits` bits need cells of `2^bits - 1` levels. Cells
/// with fewer, down to `2^(bits-1)`, round `w` once to their own levels: with an even number of them the weight is an odd
/// multiple of `1 / (levels - 1)`, or zero where both cells round to the same level.
///
/// # Source
/// Xiao et al., IEEE Circuits and Systems Magazine 2022, section on balanced (differential) core designs; the rounding of
/// cells with `2^(bits-1)` levels is that of CrossSim 3.2.
pub(super) fn map(mapping: &Mapping, cells: Cells<'_>) -> Result<MappedMatrix, HardwareError> {
    if mapping.slice_bits.is_some() || mapping.slices.is_some() {
        return Err(HardwareError::conflict(
            "scheme = two-sided-pair with slices: a digit has no sign",
            "leave slice_bits and slices out, or use scheme = one-sided-pair",
        ));
    }
    let level = mapping.weight_bits.max_level();
    let (least, most) = (level as u32 + 1, 2 * level as u32 + 1);
    let levels = mapping.cell_levels.unwrap_or(most).min(most);
    if levels < least {
        return Err(HardwareError::limit(
            "cell_levels",
            levels,
            format!("{least}.."),
            "use fewer weight_bits",
        ));
    }
    let steps = (levels - 1) as f32;
    let plane = |polarity, sign: f32| {
        cells.plane(0, polarity, None, |w| match levels == most {
            // The integer first, so that ties fall as in every other scheme.
            true => (level + sign * round(w * level)) / steps,
            false => round(0.5 * (1.0 + sign * w) * steps) / steps,
        })
    };
    let planes = vec![
        plane(Polarity::Positive, 1.0),
        plane(Polarity::Negative, -1.0),
    ];
    let slice = Slice {
        factor: level,
        steps: Some(levels - 1),
    };
    Ok(cells.finish(level, planes, vec![slice], Reference::None))
}
