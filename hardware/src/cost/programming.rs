//! The cost of writing the weights.

use serde::{Deserialize, Serialize};

use super::layer_tiling::LayerTiling;
use super::limit::{require_count, require_not_negative};
use crate::HardwareError;
use crate::units::{Joule, Second};

/// Write, read, write again until the cell is near enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VerifyCost {
    /// Pulses per cell on average, each followed by a read.
    pub mean_pulses: f64,
    /// Energy of one such read.
    pub read_energy: Joule,
    /// Time of one such read.
    pub read_time: Second,
}

/// Writing a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgrammingConfig {
    /// Energy of one pulse on one cell.
    pub pulse_energy: Joule,
    /// Time of one pulse.
    pub pulse_time: Second,
    /// Cells of one array that are written at once.
    pub cells_at_once: usize,
    /// Arrays that are written at once.
    pub arrays_at_once: usize,
    /// Verification; without it, one pulse per cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyCost>,
}

/// Cost of writing once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgrammingCost {
    /// Cells written, copies and reference columns included.
    pub cells: u64,
    /// Pulses on average.
    pub pulses: f64,
    /// Energy.
    pub energy: Joule,
    /// Time; layers one after another.
    pub time: Second,
}

impl ProgrammingConfig {
    /// Whether the figures can be.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(&self) -> Result<(), HardwareError> {
        let field = |name: &str| format!("cost.programming.{name}");
        require_not_negative(
            field("pulse_energy"),
            self.pulse_energy,
            self.pulse_energy.get(),
        )?;
        require_not_negative(field("pulse_time"), self.pulse_time, self.pulse_time.get())?;
        require_count(field("cells_at_once"), self.cells_at_once, 1, 1 << 32)?;
        require_count(field("arrays_at_once"), self.arrays_at_once, 1, 1 << 32)?;
        let Some(verify) = self.verify else {
            return Ok(());
        };
        if !(verify.mean_pulses.is_finite() && verify.mean_pulses >= 1.0) {
            return Err(HardwareError::limit(
                field("verify.mean_pulses"),
                verify.mean_pulses,
                "the finite values from 1 on",
                "every cell takes at least one pulse",
            ));
        }
        require_not_negative(
            field("verify.read_energy"),
            verify.read_energy,
            verify.read_energy.get(),
        )?;
        require_not_negative(
            field("verify.read_time"),
            verify.read_time,
            verify.read_time.get(),
        )
    }

    /// Cost of writing `copies` copies of one layer.
    ///
    /// ```text
    /// E = cells · pulses · (E_pulse + E_read)
    /// t = ceil(arrays / arrays_at_once) · ceil(cells of a full tile / cells_at_once) · pulses · (t_pulse + t_read)
    /// ```
    pub(super) fn cost(&self, tiling: &LayerTiling, copies: u64) -> ProgrammingCost {
        let (mean, read_energy, read_time) = match self.verify {
            Some(verify) => (
                verify.mean_pulses,
                verify.read_energy.get(),
                verify.read_time.get(),
            ),
            None => (1.0, 0.0, 0.0),
        };
        let cells = tiling.cells() * copies;
        let pulses = cells as f64 * mean;
        let rounds = (tiling.arrays() * copies).div_ceil(self.arrays_at_once as u64);
        let per_round = tiling.largest_tile().div_ceil(self.cells_at_once as u64);
        let time = rounds as f64 * per_round as f64 * mean * (self.pulse_time.get() + read_time);
        ProgrammingCost {
            cells,
            pulses,
            energy: Joule::new(pulses * (self.pulse_energy.get() + read_energy)),
            time: Second::new(time),
        }
    }
}

impl ProgrammingCost {
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            cells: self.cells.saturating_add(other.cells),
            pulses: self.pulses + other.pulses,
            energy: Joule::new(self.energy.get() + other.energy.get()),
            time: Second::new(self.time.get() + other.time.get()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::cost::{ArrayShape, LayerShape};

    fn config() -> ProgrammingConfig {
        ProgrammingConfig {
            pulse_energy: Joule::new(2e-12),
            pulse_time: Second::new(10e-9),
            cells_at_once: 4,
            arrays_at_once: 2,
            verify: Some(VerifyCost {
                mean_pulses: 10.0,
                read_energy: Joule::new(1e-12),
                read_time: Second::new(5e-9),
            }),
        }
    }

    #[test]
    fn every_pulse_is_followed_by_a_read() {
        let array = ArrayShape {
            rows: 4,
            columns: 6,
            ..ArrayShape::default()
        };
        // 5 × 4 weights, a pair of cells each: 2 × 2 arrays, the largest tile 4 × 6 = 24 cells, 40 cells in all.
        let tiling = LayerTiling::of(&LayerShape::linear("fc", 5, 4), &array);
        let cost = config().cost(&tiling, 3);
        assert_eq!(cost.cells, 120);
        assert_eq!(cost.pulses, 1200.0);
        // 1200 · 3 pJ; 12 arrays in 6 rounds of 6 groups of cells, 10 · 15 ns each. Tolerances: roundings of f64.
        assert!((cost.energy.get() - 3.6e-9).abs() < 1e-21);
        assert!((cost.time.get() - 6.0 * 6.0 * 150e-9).abs() < 1e-18);
        let once = ProgrammingConfig {
            verify: None,
            ..config()
        };
        assert_eq!(once.cost(&tiling, 1).pulses, 40.0);
    }

    #[test]
    fn impossible_figures_are_refused() {
        config().check().unwrap();
        let with = |mean_pulses| ProgrammingConfig {
            verify: config().verify.map(|verify| VerifyCost {
                mean_pulses,
                ..verify
            }),
            ..config()
        };
        for bad in [
            with(0.5),
            with(f64::NAN),
            ProgrammingConfig {
                cells_at_once: 0,
                ..config()
            },
            ProgrammingConfig {
                arrays_at_once: 0,
                ..config()
            },
            ProgrammingConfig {
                pulse_energy: Joule::new(-1.0),
                ..config()
            },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
