//! Which weights or cells may deviate and how far, from the command line.

use anyhow::{Result, bail};

use super::FindWorstCase;
use crate::apps::hardware::{NamedHardware, open_hardware};
use crate::apps::worst_case::Room;

impl FindWorstCase {
    /// Which weights or cells deviate, and how far.
    ///
    /// # Errors
    /// A bound or tolerance that is no fraction, and a hardware that cannot be opened.
    pub(super) fn room(&self) -> Result<Room> {
        let Some(hardware) = &self.hardware else {
            let mut bounds = self.bounds.clone();
            bounds.push(self.bound);
            if let Some(bound) = bounds.iter().find(|b| !(**b > 0.0 && **b <= 1.0)) {
                bail!(
                    "--bound {bound} is not allowed: use a fraction of the largest weight of a layer above 0, up to 1"
                );
            }
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            return Ok(Room::Weights {
                bounds,
                own: self.bound,
            });
        };
        let NamedHardware { name, hardware } = open_hardware(hardware)?;
        let verified = hardware.config().programming.as_ref();
        let Some(tolerance) = self
            .tolerance
            .or_else(|| verified.map(|verify| verify.tolerance()))
        else {
            bail!("{name} has no [programming] with a tolerance: give --tolerance, such as 0.03");
        };
        if !(tolerance > 0.0 && tolerance <= 1.0) {
            bail!(
                "--tolerance {tolerance} is not allowed: use a fraction of the conductance range above 0, up to 1"
            );
        }
        Ok(Room::Cells {
            name,
            hardware: Box::new(hardware),
            tolerance,
        })
    }
}
