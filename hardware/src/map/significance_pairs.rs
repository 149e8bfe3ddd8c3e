//! Several pairs of cells, each with a weight of its own.

use super::integers::{Cells, round};
use super::mapped_matrix::{MappedMatrix, Polarity, Reference, Slice};
use super::mapping::Mapping;
use crate::HardwareError;

/// One-sided pairs with significances `F_k`: the least significant is filled first, the next when the former is full.
///
/// ```text
/// |w| Σ F_k = Σ_k F_k f_k,   f_k in [0, 1]          g±_k = g_min + (g_max - g_min) f_k on the side of the sign
/// ```
///
/// Every pair is converted on its own and weighted digitally.
///
/// # Source
/// Rasch et al., "A flexible and fast PyTorch toolkit for simulating training and inference on analog crossbar arrays"
/// (aihwkit), AICAS 2021: converter to N pairs of conductances, and its order of filling.
pub(super) fn map(
    mapping: &Mapping,
    cells: Cells<'_>,
    significances: &[f32],
) -> Result<MappedMatrix, HardwareError> {
    if mapping.slice_bits.is_some() || mapping.slices.is_some() || mapping.cell_levels.is_some() {
        return Err(HardwareError::conflict(
            "scheme = significance-pairs with slice_bits, slices or cell_levels: its cells take any conductance",
            "leave them out, or use scheme = one-sided-pair",
        ));
    }
    let wrong = |f: &&f32| !(f.is_finite() && **f > 0.0);
    if significances.is_empty() || significances.iter().any(|f| wrong(&f)) {
        return Err(HardwareError::limit(
            "significances",
            format!("{significances:?}"),
            "one or more positive numbers",
            "use [1.0] for one pair",
        ));
    }
    let level = mapping.weight_bits.max_level();
    let total: f32 = significances.iter().sum();
    let mut order: Vec<usize> = (0..significances.len()).collect();
    order.sort_by(|a, b| significances[*a].total_cmp(&significances[*b]));
    let mut planes = Vec::new();
    let mut slices = Vec::new();
    let mut below = 0.0f32;
    for (slice, pair) in order.into_iter().enumerate() {
        let significance = significances[pair];
        for (polarity, sign) in [(Polarity::Positive, level), (Polarity::Negative, -level)] {
            planes.push(cells.plane(slice, polarity, None, |w| {
                let magnitude = round(w * sign).max(0.0) / level * total;
                ((magnitude - below) / significance).clamp(0.0, 1.0)
            }));
        }
        slices.push(Slice {
            factor: significance / total * level,
            steps: None,
        });
        below += significance;
    }
    Ok(cells.finish(level, planes, slices, Reference::None))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crate::units::Siemens;
    use crate::{ConductanceRange, Mapping, Scheme, WeightBits, WeightMatrix};

    #[test]
    fn the_least_significant_pair_is_filled_first() {
        let scheme = Scheme::SignificancePairs {
            significances: vec![3.0, 1.0],
        };
        let mapping = Mapping::new(scheme, WeightBits::new(9).unwrap());
        let range = ConductanceRange::new(Siemens::new(1e-6), Siemens::new(11e-6)).unwrap();
        // Of 4 = 3 + 1: 0.2 of the small pair; all of it and 0.25 of 3; everything, negative.
        let weights = WeightMatrix::new(1, 3, vec![0.05, 0.4375, -1.0]).unwrap();
        let mapped = mapping.map(&weights, range).unwrap();
        let near = |plane: usize, expected: [f32; 3]| {
            for (found, expected) in mapped.planes[plane].targets.iter().zip(expected) {
                // Half an integer of 255 is 4/255/2 of the pair's range of 10 uS.
                assert!(
                    (found - expected).abs() < 0.08,
                    "{:?}",
                    mapped.planes[plane]
                );
            }
        };
        near(0, [3.0, 11.0, 1.0]);
        near(1, [1.0, 1.0, 11.0]);
        near(2, [1.0, 3.5, 1.0]);
        near(3, [1.0, 1.0, 11.0]);
    }
}
