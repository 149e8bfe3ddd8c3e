//! The two ways in which the papers state the noise of a cell.

use crate::NoiseError;

/// The unit of the σ of one cell, when a weight's magnitude of M bits is spread over M/K cells of K bits.
///
/// Independent cells add up to a normal deviation of the weight, `sigma_rel_wmax = eta * sigma_cell`. For K = 1, the
/// conventions differ only by 2^M against 2^M - 1. Otherwise, they differ by a factor of about 2^K - 1, so a result must say
/// which convention it uses.
///
/// # Source
/// Authors' code of SWIM, CIM_CW and EvaXB (cell step) and of NF_Training (full range).
///
/// ```
/// use crossburn_noise::SigmaConvention;
///
/// let sigma_rel_wmax = 0.1 * SigmaConvention::FullRange.factor(8, 2)?;
/// assert!((sigma_rel_wmax - 0.0778).abs() < 1e-4);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigmaConvention {
    /// In steps (LSB) of the cell, over 2^M: `eta = sqrt(sum_{j=1}^{M/K} 4^{-jK})`.
    CellLsb,
    /// In full ranges of the cell: `eta = sqrt(sum_i 4^{iK}) / sum_i 2^{iK}`, i from 0 to M/K - 1.
    FullRange,
}

impl SigmaConvention {
    /// `sigma_rel_wmax` per unit of cell σ.
    ///
    /// # Errors
    /// [`NoiseError::Cells`] unless `bits_per_cell` divides `bits` and `bits` is at most 16.
    pub fn factor(self, bits: u32, bits_per_cell: u32) -> Result<f64, NoiseError> {
        if bits_per_cell == 0 || bits == 0 || bits > 16 || !bits.is_multiple_of(bits_per_cell) {
            return Err(NoiseError::Cells {
                bits,
                bits_per_cell,
            });
        }
        let cells = bits / bits_per_cell;
        let step = |power: u32| 2f64.powi((power * bits_per_cell) as i32);
        Ok(match self {
            Self::CellLsb => (1..=cells).map(|j| step(j).powi(-2)).sum::<f64>().sqrt(),
            Self::FullRange => {
                (0..cells).map(|i| step(i).powi(2)).sum::<f64>().sqrt()
                    / (0..cells).map(step).sum::<f64>()
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn factors_are_those_of_the_papers_table() {
        for (convention, bits_per_cell, eta) in [
            (SigmaConvention::CellLsb, 1, 0.577),
            (SigmaConvention::CellLsb, 2, 0.258),
            (SigmaConvention::FullRange, 1, 0.580),
            (SigmaConvention::FullRange, 2, 0.778),
        ] {
            assert!((convention.factor(8, bits_per_cell).unwrap() - eta).abs() < 5.1e-4);
        }
        assert!(
            SigmaConvention::CellLsb.factor(8, 3).is_err()
                && SigmaConvention::CellLsb.factor(8, 0).is_err()
        );
    }
}
