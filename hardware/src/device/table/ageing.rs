//! Ageing of a measured cell: drift by exponents, or retention at some times.

use super::super::ageing::Ageing;
use super::super::moments::RawMoments;
use super::super::power_law::{Exponent, PowerLaw};
use super::super::programming::Spread;
use super::super::relaxation::{Added, Relaxation};
use super::measured::Curve;
use crate::HardwareError;
use crate::units::Second;

/// Measurements of ageing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Measured {
    /// Conductance, uS; mean and standard deviation of the exponent.
    Drift(Curve<3>),
    /// Time since the first read; conductance, mean and standard deviation then, uS.
    Retention(Vec<(Second, Curve<3>)>),
}

impl Measured {
    /// The law `after` seconds for cells that were `written` so.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] after the last time of a retention.
    pub(super) fn after(
        &self,
        written: &Curve<3>,
        t_0: f64,
        after: f64,
    ) -> Result<TableAgeing, HardwareError> {
        match self {
            // Exponents by conductances in uS, not by fractions of the highest.
            Self::Drift(exponents) => Ok(TableAgeing::Drift(PowerLaw::new(
                Exponents(exponents.clone()),
                1.0,
                t_0,
                after,
            ))),
            Self::Retention(times) => {
                let since = |time: f64| since(time, t_0);
                let (mut earlier, mut from) = (written, 0.0);
                for (time, later) in times {
                    if after <= time.get() {
                        return Ok(TableAgeing::Retention(Relaxation(Later {
                            written: written.clone(),
                            earlier: earlier.clone(),
                            later: later.clone(),
                            share: (since(after) - from) / (since(time.get()) - from),
                        })));
                    }
                    (earlier, from) = (later, since(time.get()));
                }
                let last = times.last().map_or(Second::default(), |(time, _)| *time);
                Err(HardwareError::limit(
                    "after",
                    Second::new(after),
                    format!("the measured times 0 s..{last} of the retention tables"),
                    format!("choose a time up to {last}, or add a table of a later one"),
                ))
            }
        }
    }
}

/// `ln((t + t_0) / t_0)`.
pub(super) fn since(time: f64, t_0: f64) -> f64 {
    libm::log1p(time / t_0)
}

/// Exponents by conductance.
#[derive(Clone, Debug)]
pub(in super::super) struct Exponents(Curve<3>);

impl Exponent for Exponents {
    #[inline(always)]
    fn exponent(&self, conductance: f64) -> (f64, f64) {
        let [_, mean, sigma] = self.0.at(conductance);
        (mean, sigma)
    }
}

/// A time between two tables.
#[derive(Clone, Debug)]
pub(in super::super) struct Later {
    written: Curve<3>,
    earlier: Curve<3>,
    later: Curve<3>,
    /// From 0 at the earlier table to 1 at the later.
    share: f64,
}

impl Added for Later {
    #[inline(always)]
    fn added(&self, target: f64) -> Spread {
        let [_, mean, sigma] = self.written.at(target);
        let (a, b) = (self.earlier.at(target), self.later.at(target));
        let [_, mean_now, sigma_now]: [f64; 3] =
            std::array::from_fn(|column| a[column] + self.share * (b[column] - a[column]));
        Spread {
            mean: mean_now - mean,
            sigma: (sigma_now * sigma_now - sigma * sigma).max(0.0).sqrt(),
        }
    }
}

/// The drift or the retention, at one time.
pub(in super::super) enum TableAgeing {
    Drift(PowerLaw<Exponents>),
    Retention(Relaxation<Later>),
}

impl Ageing for TableAgeing {
    #[inline(always)]
    fn age(&self, programmed: f64, target: f64, draw: f64) -> f64 {
        match self {
            Self::Drift(law) => law.age(programmed, target, draw),
            Self::Retention(law) => law.age(programmed, target, draw),
        }
    }

    fn moments(&self, programmed: f64, target: f64) -> RawMoments {
        match self {
            Self::Drift(law) => law.moments(programmed, target),
            Self::Retention(law) => law.moments(programmed, target),
        }
    }
}
