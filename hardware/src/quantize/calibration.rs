//! How the range of a grid is chosen from data.

use serde::{Deserialize, Serialize};

use super::{Grid, Symmetry, WeightBits};
use crate::HardwareError;

/// Candidates that the search for the smallest squared error tries: this many equal steps down from the whole range.
const CANDIDATES: u32 = 100;

/// How the range of a grid is chosen from the values that it is for.
///
/// In TOML: `calibration = { kind = "percentile", percent = 99.9 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Calibration {
    /// The whole range: nothing is clipped.
    MinMax {},
    /// The range that holds this share of the values; of a symmetric grid, of their magnitudes; else at either end.
    Percentile {
        /// Above 50, at most 100.
        percent: f64,
    },
    /// The scale with the smallest squared error among 1 %, 2 %, … 100 % of the whole range.
    Mse {},
    /// The range of [`Mse`](Self::Mse) as training begins, which training then moves down the gradient of the loss (Esser et al.,
    /// "Learned step size quantization", ICLR 2020).
    Learned {
        /// The largest part of itself by which a step of training moves a range.
        #[serde(default = "usual_rate")]
        rate: f64,
    },
}

fn usual_rate() -> f64 {
    1e-3
}

impl Default for Calibration {
    fn default() -> Self {
        Self::MinMax {}
    }
}

impl Calibration {
    /// The same calibration, if its parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        match self {
            Self::Percentile { percent } if !(percent > 50.0 && percent <= 100.0) => {
                Err(HardwareError::limit(
                    "calibration.percent",
                    percent,
                    "50 (excluded) to 100",
                    "use a share such as 99.9",
                ))
            }
            Self::Learned { rate } if !(rate > 0.0 && rate < 1.0) => Err(HardwareError::limit(
                "calibration.rate",
                rate,
                "0 to 1, both excluded",
                "use a part such as 0.001",
            )),
            _ => Ok(self),
        }
    }

    /// The grid of `bits` for `values`, which must be finite; that of nothing is that of zeros.
    pub(super) fn grid(self, bits: WeightBits, symmetry: Symmetry, values: &[f32]) -> Grid {
        if bits.is_sign() && symmetry == Symmetry::Symmetric {
            // The scale with the smallest squared error, whatever the range.
            return Grid::symmetric(bits, mean_magnitude(values));
        }
        let (low, high) = match self {
            Self::Percentile { percent } => percentiles(symmetry, percent, values),
            Self::MinMax {} | Self::Mse {} | Self::Learned { .. } => whole_range(symmetry, values),
        };
        let grid = |share: f32| symmetry.grid(bits, low * share, high * share);
        if matches!(self, Self::MinMax {} | Self::Percentile { .. }) {
            return grid(1.0);
        }
        let error = |grid: &Grid| -> f64 {
            let squares = values
                .iter()
                .map(|&x| f64::from(grid.quantize(x) - x).powi(2));
            squares.sum()
        };
        let candidates = (1..=CANDIDATES)
            .rev()
            .map(|i| grid(i as f32 / CANDIDATES as f32));
        let best = candidates
            .map(|grid| (error(&grid), grid))
            .min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map_or_else(|| grid(1.0), |(_, grid)| grid)
    }
}

/// `mean|x|`, 0 of nothing (Rastegari et al., "XNOR-Net", ECCV 2016, equation 6).
fn mean_magnitude(values: &[f32]) -> f32 {
    let sum: f64 = values.iter().map(|x| f64::from(x.abs())).sum();
    (sum / values.len().max(1) as f64) as f32
}

fn whole_range(symmetry: Symmetry, values: &[f32]) -> (f32, f32) {
    let (low, high) = values.iter().fold((0.0f32, 0.0f32), |(low, high), &x| {
        (low.min(x), high.max(x))
    });
    match symmetry {
        Symmetry::Symmetric => (-high.max(-low), high.max(-low)),
        Symmetry::Asymmetric => (low, high),
    }
}

/// Nearest-rank percentiles.
fn percentiles(symmetry: Symmetry, percent: f64, values: &[f32]) -> (f32, f32) {
    let nearest = |mut values: Vec<f32>, percent: f64| -> f32 {
        let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
        if values.is_empty() {
            return 0.0;
        }
        let at = rank.clamp(1, values.len()) - 1;
        *values.select_nth_unstable_by(at, f32::total_cmp).1
    };
    match symmetry {
        Symmetry::Symmetric => {
            let high = nearest(values.iter().map(|x| x.abs()).collect(), percent);
            (-high, high)
        }
        Symmetry::Asymmetric => (
            -nearest(values.iter().map(|x| -x).collect(), percent),
            nearest(values.to_vec(), percent),
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::Philox;

    fn normals(n: usize) -> Vec<f32> {
        let mut values = vec![0.0; n];
        Philox::new(11, 3).fill_normal(&mut values);
        values
    }

    fn bits(bits: u8) -> WeightBits {
        WeightBits::new(bits).unwrap()
    }

    #[test]
    fn percentiles_hold_their_share() {
        let values: Vec<f32> = (-30..=100).map(|i| i as f32).collect();
        let top = |symmetry, percent| {
            let grid = Calibration::Percentile { percent }.grid(bits(8), symmetry, &values);
            grid.value(grid.high)
        };
        assert_eq!(top(Symmetry::Symmetric, 100.0), 100.0);
        // 131 magnitudes: 0, twice 1..=30, then 31..=100. Rank ceil(0.5001 * 131) = 66 is 31 + (66 - 62) = 35.
        assert!((top(Symmetry::Symmetric, 50.01) - 35.0).abs() < 1e-4);
        // 131 values from -30: rank ceil(0.9 * 131) = 118 is -30 + 117 = 87; the low end is -(rank 118 of the negated).
        let grid =
            Calibration::Percentile { percent: 90.0 }.grid(bits(8), Symmetry::Asymmetric, &values);
        assert!((grid.step * 255.0 - (87.0 + 17.0)).abs() < 1e-3, "{grid:?}");
    }

    /// Sum of squared errors of a standard normal on a symmetric uniform grid with its best range.
    ///
    /// Max, IRE Transactions on Information Theory 1960, table II, has 0.01154 as the smallest error of 16 equal steps
    /// with a level at neither zero nor an end of an unbounded range. A grid of 15 levels with one at zero cannot be
    /// better and should be close.
    #[test]
    fn the_smallest_squared_error_is_near_the_optimum_for_a_normal() {
        let values = normals(100_000);
        let error = |calibration: Calibration| {
            let grid = calibration.grid(bits(4), Symmetry::Symmetric, &values);
            let sum: f64 = values
                .iter()
                .map(|&x| f64::from(grid.quantize(x) - x).powi(2))
                .sum();
            sum / values.len() as f64
        };
        let mse = error(Calibration::Mse {});
        assert!((0.01154..0.0140).contains(&mse), "{mse}");
        assert!(mse < 0.6 * error(Calibration::MinMax {}));
        assert!(mse <= error(Calibration::Percentile { percent: 99.0 }));
    }

    #[test]
    fn what_cannot_be_a_percentile_is_refused() {
        for percent in [50.0, 100.1, f64::NAN, -1.0] {
            assert!(Calibration::Percentile { percent }.check().is_err());
        }
        let message = Calibration::Percentile { percent: 20.0 }
            .check()
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(message, @"calibration.percent = 20 is outside 50 (excluded) to 100: use a share such as 99.9");
    }
}
