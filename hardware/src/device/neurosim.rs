//! The proportional variation of NeuroSim's inference.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::refusal::not_negative;
use crate::HardwareError;
use crate::units::Siemens;

/// When a variation is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redraw {
    /// At every read, as in the source.
    #[default]
    PerRead,
    /// At every write, and then kept: what a variation between cells is.
    PerWrite,
}

/// A cell whose digit is multiplied by `1 + ξ sigma_rel_digit`.
///
/// ```text
/// g = max(0, g_min + (g_T - g_min)(1 + sigma_rel_digit ξ))
/// ```
///
/// # Source
/// DNN+NeuroSim, inference: the digit of a cell is multiplied in every forward pass (`vari`, for instance 0.1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeurosimConfig {
    /// Lowest conductance, digit 0.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation relative to the digit.
    pub sigma_rel_digit: f64,
    /// When it is drawn.
    #[serde(default)]
    pub redraw: Redraw,
}

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Neurosim {
    range: ConductanceRange,
    g_min: f64,
    write: f64,
    read: f64,
}

impl NeurosimConfig {
    pub(super) fn check(&self) -> Result<Neurosim, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let sigma = not_negative("sigma_rel_digit", self.sigma_rel_digit)?;
        let (write, read) = match self.redraw {
            Redraw::PerRead => (0.0, sigma),
            Redraw::PerWrite => (sigma, 0.0),
        };
        Ok(Neurosim {
            range,
            g_min: f64::from(range.g_min),
            write,
            read,
        })
    }
}

impl Programming for Neurosim {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.write * (target - self.g_min).max(0.0),
        }
    }
}

impl ReadNoise for Neurosim {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        self.read * (conductance - self.g_min).max(0.0)
    }
}

impl Law for Neurosim {
    type Ageing = NoAgeing;
    type Read = Self;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn read(&self, _after: f64) -> Option<Self> {
        (self.read > 0.0).then_some(*self)
    }
}
