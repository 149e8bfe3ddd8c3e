//! The conductances that a cell can be programmed to.

use crate::HardwareError;
use crate::units::Siemens;

<<<<<<< HEAD
/// Lowest and highest conductance of a cell, in µS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConductanceRange {
    /// Lowest conductance.
    pub g_min: f32,
    /// Highest conductance.
=======
/// From the least to the most conducting state of a cell, in microsiemens.
///
/// ```
/// use crossburn_hardware::ConductanceRange;
///
/// let range = ConductanceRange::new("1 uS".parse()?, "100 uS".parse()?)?;
/// assert_eq!(range.on_off_ratio(), 100.0);
/// assert_eq!(range.span(), 99.0);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConductanceRange {
    /// Least conductance, µS.
    pub g_min: f32,
    /// Largest conductance, µS.
>>>>>>> hw-array
    pub g_max: f32,
}

impl ConductanceRange {
    /// A checked range.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] unless `0 <= g_min < g_max`, both finite.
    pub fn new(g_min: Siemens, g_max: Siemens) -> Result<Self, HardwareError> {
<<<<<<< HEAD
        let [low, high] = [g_min, g_max].map(|g| (1e6 * g.get()) as f32);
        if low >= 0.0 && low < high && high.is_finite() {
            return Ok(Self {
                g_min: low,
                g_max: high,
            });
=======
        let range = Self {
            g_min: (g_min.get() * 1e6) as f32,
            g_max: (g_max.get() * 1e6) as f32,
        };
        if range.g_min >= 0.0 && range.g_min < range.g_max && range.g_max.is_finite() {
            return Ok(range);
>>>>>>> hw-array
        }
        Err(HardwareError::Limit {
            field: "g_min".to_string(),
            value: g_min.to_string(),
            limit: format!("0 S..{g_max}"),
<<<<<<< HEAD
            remedy: "use a range of conductances from 0 S on".to_string(),
        })
    }

    /// Highest over lowest conductance; infinite where the lowest is 0.
=======
            remedy: "make g_min smaller than g_max".to_string(),
        })
    }

    /// `g_max / g_min`; infinite where `g_min` is zero.
>>>>>>> hw-array
    pub fn on_off_ratio(&self) -> f32 {
        self.g_max / self.g_min
    }

<<<<<<< HEAD
    /// Highest minus lowest conductance.
=======
    /// `g_max - g_min`, µS.
>>>>>>> hw-array
    pub fn span(&self) -> f32 {
        self.g_max - self.g_min
    }
}
