//! Selective write-verify: only the weights that matter are verified.

use crossburn_noise::ParameterDraws;
use serde::{Deserialize, Serialize};

use super::programmed::require;
use super::{Programmed, Verification};
use crate::HardwareError;
use crate::device::ConductanceRange;

/// Verifies the most sensitive weights and writes the others once.
///
/// To second order the loss grows by `½ ∂²L/∂w² var(w)` for each weight, so weights are ranked by the diagonal second
/// derivative, among equals by their magnitude, and the first fraction is verified.
///
/// # Source
/// Yan, Hu and Shi, "SWIM: selective write-verify for computing-in-memory neural accelerators", DAC 2022.
///
/// ```
/// use crossburn_hardware::program::{SelectiveWriteVerify, WriteVerify};
///
/// let swim = SelectiveWriteVerify::new(0.5, WriteVerify::reaching(0.03, 0.1, 100)?)?;
/// let selected = swim.select(&[0.0, 3.0, 1.0, 0.0], &[0.1, 0.0, 0.5, -0.9])?;
/// assert_eq!(selected, [false, true, true, false]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// In TOML: `fraction = 0.1` and a table `verify` of a [`Verification`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct SelectiveWriteVerify {
    fraction: f64,
    verify: Verification,
}

impl SelectiveWriteVerify {
    /// Verifies the fraction `fraction` of the weights by `verify`, whose deviation before verification the others keep.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for fractions outside 0..=1.
    pub fn new(fraction: f64, verify: impl Into<Verification>) -> Result<Self, HardwareError> {
        require(
            "fraction",
            fraction,
            (0.0..=1.0).contains(&fraction),
            "0..=1",
            "use the part of the weights that is verified",
        )?;
        Ok(Self {
            fraction,
            verify: verify.into(),
        })
    }

    /// The part of the weights that is verified.
    pub fn fraction(&self) -> f64 {
        self.fraction
    }

    /// How they are verified.
    pub fn verify(&self) -> &Verification {
        &self.verify
    }

    /// Which weights are verified: `round(fraction · n)` of them.
    ///
    /// `sensitivities` are diagonal second derivatives of the loss, one per weight. Equal weights are taken in order. Give
    /// the weights of all layers at once to share the budget between layers.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the lengths differ or a sensitivity or weight is not a number.
    pub fn select(
        &self,
        sensitivities: &[f32],
        weights: &[f32],
    ) -> Result<Vec<bool>, HardwareError> {
        same_length("sensitivities", sensitivities.len(), weights.len())?;
        for (field, values) in [("sensitivities", sensitivities), ("weights", weights)] {
            if let Some(index) = values.iter().position(|value| value.is_nan()) {
                return Err(HardwareError::limit(
                    format!("{field}[{index}]"),
                    "NaN",
                    "the numbers",
                    "compute it from a network whose loss is finite",
                ));
            }
        }
        let count = (self.fraction * weights.len() as f64).round() as usize;
        let mut order: Vec<usize> = (0..weights.len()).collect();
        let before = |a: &usize, b: &usize| {
            // Adding 0 makes -0 equal to 0.
            let sensitivity = |index: usize| sensitivities[index] + 0.0;
            sensitivity(*b)
                .total_cmp(&sensitivity(*a))
                .then_with(|| weights[*b].abs().total_cmp(&weights[*a].abs()))
                .then_with(|| a.cmp(b))
        };
        if count > 0 && count < order.len() {
            order.select_nth_unstable_by(count - 1, before);
        }
        let mut selected = vec![false; weights.len()];
        order[..count]
            .iter()
            .for_each(|index| selected[*index] = true);
        Ok(selected)
    }

    /// Programs the cells of the selected weights with verification and the others with one unverified write.
    ///
    /// `targets` in µS and `selected` have one value per cell: repeat the selection for every cell of a weight. Unverified
    /// cells count one pulse, no read and no failure.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the lengths differ.
    pub fn draw(
        &self,
        targets: &[f32],
        selected: &[bool],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
    ) -> Result<Programmed, HardwareError> {
        same_length("selected cells", selected.len(), targets.len())?;
        let verified = |index: usize| selected[index];
        let cells = self.verify.cells(targets, range, draws, verified);
        Ok(Programmed::of_cells(&cells, verified))
    }
}

fn same_length(field: &str, found: usize, expected: usize) -> Result<(), HardwareError> {
    require(
        &format!("number of {field}"),
        found as f64,
        found == expected,
        &format!("{expected}..={expected}"),
        "give one for every weight or cell",
    )
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    fraction: f64,
    verify: Verification,
}

impl TryFrom<Unchecked> for SelectiveWriteVerify {
    type Error = HardwareError;

    fn try_from(selective: Unchecked) -> Result<Self, HardwareError> {
        Self::new(selective.fraction, selective.verify)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::program::WriteVerify;
    use crossburn_noise::Philox;
    use proptest::prelude::*;

    const RANGE: ConductanceRange = ConductanceRange {
        g_min: 0.0,
        g_max: 100.0,
    };

    fn swim(fraction: f64) -> SelectiveWriteVerify {
        SelectiveWriteVerify::new(fraction, WriteVerify::reaching(0.03, 0.1, 100).unwrap()).unwrap()
    }

    #[test]
    fn magnitude_decides_among_equal_sensitivities() {
        let selected = swim(0.5)
            .select(&[1.0, 0.0, -0.0, 0.0], &[0.0, 0.1, -0.3, 0.2])
            .unwrap();
        assert_eq!(selected, [true, false, true, false]);
        // Equal in both: in order.
        assert_eq!(
            swim(0.5).select(&[1.0; 2], &[1.0; 2]).unwrap(),
            [true, false]
        );
    }

    #[test]
    fn verified_cells_deviate_by_the_one_and_others_by_the_other() {
        let n = 100_000;
        let swim = swim(0.25);
        let selected: Vec<bool> = (0..n).map(|index| index % 4 == 0).collect();
        // Targets lie five σ from 0 µS.
        let programmed = swim
            .draw(&vec![50.0; n], &selected, RANGE, &Philox::new(1, 1))
            .unwrap();
        for (verified, sigma) in [(true, 3.0), (false, 10.0)] {
            let chosen: Vec<f64> = (0..n)
                .filter(|index| selected[*index] == verified)
                .map(|index| f64::from(programmed.conductances[index] - 50.0))
                .collect();
            let m = chosen.len() as f64;
            let found = (chosen.iter().map(|d| d * d).sum::<f64>() / m).sqrt();
            // Five standard errors of σ of at most normal kurtosis, σ / √(2m).
            assert!(
                (found - sigma).abs() < 5.0 * sigma / (2.0 * m).sqrt(),
                "{found}"
            );
        }
        // 2.5 pulses with a deviation below 2 for a quarter of the cells, one for the others; five standard errors.
        let (quarter, others) = (n as f64 / 4.0, 3.0 * n as f64 / 4.0);
        let mean_pulses = WriteVerify::reaching(0.03, 0.1, 100).unwrap().mean_pulses();
        let expected = quarter * mean_pulses;
        assert!((programmed.reads as f64 - expected).abs() < 5.0 * 2.0 * quarter.sqrt());
        assert_eq!(programmed.total_pulses(), programmed.reads + others as u64);
    }

    #[test]
    fn everything_selected_is_write_verify() {
        let targets = vec![40.0; 1000];
        let swim = swim(1.0);
        let draws = Philox::new(8, 1);
        let selected = swim.select(&[1.0; 1000], &[1.0; 1000]).unwrap();
        assert_eq!(
            swim.draw(&targets, &selected, RANGE, &draws).unwrap(),
            swim.verify().draw(&targets, RANGE, &draws)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(SelectiveWriteVerify::new(1.5, *swim(0.1).verify()).is_err());
        let message = swim(0.1)
            .select(&[1.0], &[1.0, 2.0])
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "number of sensitivities = 1 is outside 2..=2: give one for every weight or cell"
        );
        assert!(swim(0.1).select(&[f32::NAN], &[1.0]).is_err());
        assert!(
            swim(0.1)
                .draw(&[1.0], &[], RANGE, &Philox::new(1, 1))
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn what_is_selected_ranks_above_what_is_not(
            pairs in prop::collection::vec((0u8..4, -3i8..4), 1..60),
            fraction in 0.0f64..=1.0,
        ) {
            let sensitivities: Vec<f32> = pairs.iter().map(|(s, _)| f32::from(*s)).collect();
            let weights: Vec<f32> = pairs.iter().map(|(_, w)| f32::from(*w)).collect();
            let selected = swim(fraction).select(&sensitivities, &weights).unwrap();
            let rank = |index: &usize| (sensitivities[*index], weights[*index].abs());
            let (yes, no): (Vec<usize>, Vec<usize>) = (0..pairs.len()).partition(|index| selected[*index]);
            prop_assert_eq!(yes.len(), (fraction * pairs.len() as f64).round() as usize);
            prop_assert!(yes.iter().all(|y| no.iter().all(|n| rank(y) >= rank(n))));
        }
    }
}
