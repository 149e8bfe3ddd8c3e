//! The cells of one plane of one chip: as they are written, and as they are after a time.

use crossburn_noise::ChipDraws;

use super::{HardwareConfig, Selection};
use crate::program::Programmed;
use crate::units::Second;
use crate::{ConductanceRange, HardwareError};

impl HardwareConfig {
    /// The cells of one plane as they are written, verified where the hardware verifies.
    pub(crate) fn written(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        chip: &dyn ChipDraws,
        path: &str,
        verified: Option<(&Selection, &[bool])>,
    ) -> Result<Vec<f32>, HardwareError> {
        if self.programming.is_some() {
            let written = self.verified_writes(targets, range, chip, path, verified)?;
            return Ok(written.conductances);
        }
        self.device.check_targets(targets)?;
        let draws = chip.parameter(&format!("{path}/program"));
        Ok(self.device.program(targets, &*draws))
    }

    /// The cells of one plane after the writes that the hardware verifies, and what they took.
    pub(crate) fn verified_writes(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        chip: &dyn ChipDraws,
        path: &str,
        verified: Option<(&Selection, &[bool])>,
    ) -> Result<Programmed, HardwareError> {
        let Some(verify) = &self.programming else {
            return Err(HardwareError::conflict(
                "write-verify of a hardware without [programming]",
                "give [programming] with tolerance, sigma_before and maximum_pulses",
            ));
        };
        self.device.check_targets(targets)?;
        let draws = chip.parameter(&format!("{path}/program"));
        match verified {
            None => Ok(verify.draw(targets, range, &*draws)),
            Some((selection, cells)) => {
                selection.programming().draw(targets, cells, range, &*draws)
            }
        }
    }

    /// Written cells `after` a time: drifted or relaxed, where the slow part of 1/f noise has them at that time, and stuck
    /// where they are faulty. `write` names the write, which ages; `place` the cells, which are faulty whatever is written.
    pub(crate) fn lived(
        &self,
        written: Vec<f32>,
        targets: &[f32],
        after: Second,
        chip: &dyn ChipDraws,
        [write, place]: [&str; 2],
    ) -> Result<Vec<f32>, HardwareError> {
        let device = &self.device;
        let draws = |lifetime: &str| chip.parameter(&format!("{write}/{lifetime}"));
        let mut cells = device.age(written, targets, after, &*draws("age"))?;
        if self.reads_scatter() {
            // A stream for each time: fluctuations that a run outlasts are others a day later.
            device.fluctuate(&mut cells, after, &*draws(&format!("held/{after}")));
        }
        device.stick(&mut cells, &*chip.parameter(&format!("{place}/faults")));
        Ok(cells)
    }

    /// Whether read noise is wanted: its slow part at any fidelity, its fast part at array fidelity.
    pub(crate) fn reads_scatter(&self) -> bool {
        self.device.has_read_noise() && self.operation.read_noise != Some(false)
    }
}
