//! The interface of a device family to the rest of the module. Each family is one file.

use std::fmt::Debug;

use super::ConductanceRange;
use super::ageing::Ageing;
use super::iv_curve::IvCurve;
use super::programming::Programming;
use super::read_noise::ReadNoise;
use crate::HardwareError;

/// One checked device: programming, ageing and reading are laws of their own. [`OwnConfig`](super::OwnConfig) makes a device of yours.
pub trait Law: Programming + Debug + 'static {
    /// Its drift or relaxation; [`NoAgeing`](super::NoAgeing) where it has none.
    type Ageing: Ageing;
    /// Its read noise; [`NoReadNoise`](super::NoReadNoise) where it has none.
    type Read: ReadNoise;

    /// The conductances that weights are mapped to.
    fn range(&self) -> ConductanceRange;

    /// Conductances of a cell with discrete levels, rising, uS.
    fn levels(&self) -> Option<Vec<f32>> {
        None
    }

    /// The time law after `after` seconds, a finite number above 0; `Ok(None)` where the device has no law.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the law does not reach.
    fn ageing(&self, _after: f64) -> Result<Option<Self::Ageing>, HardwareError> {
        Ok(None)
    }

    /// Read noise after `after` seconds, where reads scatter: what is new at every read.
    fn read(&self, _after: f64) -> Option<Self::Read> {
        None
    }

    /// Read noise after `after` seconds that all reads of a chip at that time share.
    fn held(&self, _after: f64) -> Option<Self::Read> {
        None
    }

    /// The current of a cell that is no resistor.
    fn iv_curve(&self) -> Option<IvCurve> {
        None
    }
}
