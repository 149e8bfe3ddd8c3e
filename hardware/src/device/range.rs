//! The conductances that a cell can be programmed to.

use crate::HardwareError;
use crate::units::Siemens;

/// Lowest and highest conductance of a cell, in µS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConductanceRange {
    /// Lowest conductance.
    pub g_min: f32,
    /// Highest conductance.
    pub g_max: f32,
}

impl ConductanceRange {
    /// A checked range.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] unless `0 <= g_min < g_max`, both finite.
    pub fn new(g_min: Siemens, g_max: Siemens) -> Result<Self, HardwareError> {
        let [low, high] = [g_min, g_max].map(|g| (1e6 * g.get()) as f32);
        if low >= 0.0 && low < high && high.is_finite() {
            return Ok(Self {
                g_min: low,
                g_max: high,
            });
        }
        Err(HardwareError::Limit {
            field: "g_min".to_string(),
            value: g_min.to_string(),
            limit: format!("0 S..{g_max}"),
            remedy: "use a range of conductances from 0 S on".to_string(),
        })
    }

    /// Highest over lowest conductance; infinite where the lowest is 0.
    pub fn on_off_ratio(&self) -> f32 {
        self.g_max / self.g_min
    }

    /// Highest minus lowest conductance.
    pub fn span(&self) -> f32 {
        self.g_max - self.g_min
    }
}
