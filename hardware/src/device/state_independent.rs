//! A generic drifting cell whose errors do not depend on its state.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::flicker::{Part, accumulated};
use super::law::Law;
use super::power_law::{Exponent, PowerLaw};
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::refusal::{not_negative, positive};
use crate::HardwareError;
use crate::units::{Second, Siemens};

/// A cell with the same programming error and the same law of drift in every state.
///
/// ```text
/// programming   g_p  = max(0, g_T + sigma_abs ξ)
/// drift         g(t) = g_p ((t + t_0) / t_0)^(-ν)          ν = |nu_mean + nu_std ξ|, one per cell
/// read noise    σ_r  = g(t) / g_max · read_sigma_abs · sqrt(ln((t + t_0 + t_read) / (2 t_read)))
/// ```
///
/// # Source
/// The state-independent model of IBM's analog hardware acceleration kit, whose values are the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateIndependentConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation of programming.
    pub sigma_abs: Siemens,
    /// Mean of the drift exponent, before the magnitude is taken.
    pub nu_mean: f64,
    /// Standard deviation of the drift exponent, before the magnitude is taken.
    pub nu_std: f64,
    /// First read after writing.
    pub t_0: Second,
    /// Standard deviation of a read at `g_max`, per unit of the square root of accumulated time.
    pub read_sigma_abs: Siemens,
    /// Read window.
    pub t_read: Second,
}

impl Default for StateIndependentConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.0),
            g_max: Siemens::new(25e-6),
            sigma_abs: Siemens::new(0.2e-6),
            nu_mean: 0.1,
            nu_std: 0.05,
            t_0: Second::new(20.0),
            read_sigma_abs: Siemens::new(1e-6),
            t_read: Second::new(250e-9),
        }
    }
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct StateIndependent {
    range: ConductanceRange,
    sigma: f64,
    nu: (f64, f64),
    t_0: f64,
    t_read: f64,
    read: f64,
}

impl StateIndependentConfig {
    pub(super) fn check(&self) -> Result<StateIndependent, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        Ok(StateIndependent {
            range,
            sigma: 1e6 * not_negative("sigma_abs", self.sigma_abs.get())?,
            nu: (
                not_negative("nu_mean", self.nu_mean)?,
                not_negative("nu_std", self.nu_std)?,
            ),
            t_0: positive("t_0", self.t_0.get(), self.t_0)?,
            t_read: positive("t_read", self.t_read.get(), self.t_read)?,
            read: 1e6 * not_negative("read_sigma_abs", self.read_sigma_abs.get())?
                / f64::from(range.g_max),
        })
    }
}

impl Programming for StateIndependent {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.sigma,
        }
    }
}

impl Exponent for StateIndependent {
    #[inline(always)]
    fn exponent(&self, _relative: f64) -> (f64, f64) {
        self.nu
    }
}

/// Proportional to the conductance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proportional(pub(super) f64);

impl ReadNoise for Proportional {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        self.0 * conductance
    }
}

impl StateIndependent {
    fn flicker(&self, after: f64, part: Part) -> Option<Proportional> {
        let sigma = self.read * accumulated(after + self.t_0, self.t_read, part);
        (self.read > 0.0).then_some(Proportional(sigma))
    }
}

impl Law for StateIndependent {
    type Ageing = PowerLaw<Self>;
    type Read = Proportional;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, after: f64) -> Result<Option<PowerLaw<Self>>, HardwareError> {
        let drifts = self.nu != (0.0, 0.0);
        Ok(drifts.then(|| PowerLaw::new(*self, f64::from(self.range.g_max), self.t_0, after)))
    }

    fn read(&self, after: f64) -> Option<Proportional> {
        self.flicker(after, Part::Fast)
    }

    fn held(&self, after: f64) -> Option<Proportional> {
        self.flicker(after, Part::Slow)
    }
}
