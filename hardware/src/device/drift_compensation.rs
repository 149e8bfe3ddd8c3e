//! Digital factors that undo the common part of drift.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// How the outputs of an array are scaled after a time.
///
/// The array is read with the same inputs, one at a time, when it is new and at the time of use. What its converters
/// deliver is then multiplied by
///
/// ```text
/// α = mean |Y(t_0)| / mean |Y(t)|          over all readings (global), or over those of one output (per-column)
/// ```
///
/// A readout sees the cells of its time, with the slow part of their 1/f noise, through exact converters and ideal wires:
/// every reading is repeated until what changes from read to read has averaged out. Y is a sum of currents: a pair and a
/// unit column are subtracted in it; a digital offset is not, because it is a number and does not drift.
///
/// # Source
/// Global drift compensation: Le Gallo et al., IEEE Trans. Electron Devices 2018; Joshi et al., Nature Communications 2020.
///
/// ```
/// use crossburn_hardware::device::DriftCompensation;
///
/// let (new, aged) = ([1.0, -4.0, 3.0, 4.0], [0.5, -1.0, 1.5, 1.0]);       // two readings of two outputs
/// assert_eq!(DriftCompensation::Global.factors(&new, &aged, 2)?, [3.0, 3.0]);
/// assert_eq!(DriftCompensation::PerColumn.factors(&new, &aged, 2)?, [2.0, 4.0]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriftCompensation {
    /// Factors of one.
    #[default]
    None,
    /// One factor for the array.
    Global,
    /// One factor for every output line.
    PerColumn,
}

impl DriftCompensation {
    /// The factor of every output, from readouts `[readings, outputs]` in row-major order.
    ///
    /// An output that reads nothing at either time gets the factor one.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] where the readouts do not have the same whole number of readings, or where something
    /// was read when the array was new and nothing is read now.
    pub fn factors(
        self,
        new: &[f32],
        aged: &[f32],
        outputs: usize,
    ) -> Result<Vec<f32>, HardwareError> {
        if self == Self::None {
            return Ok(vec![1.0; outputs]);
        }
        if new.len() != aged.len() || outputs == 0 || !new.len().is_multiple_of(outputs) {
            return Err(HardwareError::conflict(
                format!(
                    "readouts of {} and {} values for {outputs} outputs",
                    new.len(),
                    aged.len()
                ),
                "read the array with the same inputs at both times, every output each time",
            ));
        }
        if self == Self::Global {
            let [new, aged] = [new, aged].map(|y| y.iter().map(magnitude).sum::<f64>());
            return Ok(vec![factor(new, aged, None)?; outputs]);
        }
        let sums = |y: &[f32]| {
            let mut sums = vec![0.0; outputs];
            for reading in y.chunks(outputs) {
                for (sum, y) in sums.iter_mut().zip(reading) {
                    *sum += magnitude(y);
                }
            }
            sums
        };
        let pairs = sums(new).into_iter().zip(sums(aged)).enumerate();
        pairs
            .map(|(output, (new, aged))| factor(new, aged, Some(output)))
            .collect()
    }
}

fn magnitude(y: &f32) -> f64 {
    f64::from(y.abs())
}

/// The quotient of two sums over the same number of readings.
fn factor(new: f64, aged: f64, output: Option<usize>) -> Result<f32, HardwareError> {
    if new == 0.0 && aged == 0.0 {
        return Ok(1.0);
    }
    let factor = (new / aged) as f32;
    if factor.is_finite() {
        return Ok(factor);
    }
    let place = output.map_or_else(
        || "the array".to_string(),
        |output| format!("output {output}"),
    );
    Err(HardwareError::conflict(
        format!("drift compensation of {place}: the readout was {new} and is {aged} now"),
        "use inputs that this array answers to, or compensate globally",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_common_loss_is_undone(y in prop::collection::vec(0.1f32..5.0, 12), loss in 0.1f32..1.0) {
            let aged: Vec<f32> = y.iter().map(|y| y * loss).collect();
            for kind in [DriftCompensation::Global, DriftCompensation::PerColumn] {
                for alpha in kind.factors(&y, &aged, 3).unwrap() {
                    // Products and the quotient round in f32.
                    prop_assert!((alpha * loss - 1.0).abs() < 4.0 * f32::EPSILON);
                }
            }
        }
    }

    #[test]
    fn readouts_that_say_nothing_are_refused() {
        let global = DriftCompensation::Global;
        assert_eq!(
            global
                .factors(&[1.0, 2.0], &[1.0], 2)
                .unwrap_err()
                .to_string(),
            "readouts of 2 and 1 values for 2 outputs: read the array with the same inputs at both times, every output each \
             time"
        );
        let column = DriftCompensation::PerColumn;
        assert_eq!(
            column
                .factors(&[1.0, 2.0], &[1.0, 0.0], 2)
                .unwrap_err()
                .to_string(),
            "drift compensation of output 1: the readout was 2 and is 0 now: use inputs that this array answers to, or \
             compensate globally"
        );
        assert_eq!(
            column.factors(&[1.0, 0.0], &[0.5, 0.0], 2).unwrap(),
            [2.0, 1.0]
        );
        assert_eq!(
            DriftCompensation::None.factors(&[], &[], 2).unwrap(),
            [1.0, 1.0]
        );
    }
}
