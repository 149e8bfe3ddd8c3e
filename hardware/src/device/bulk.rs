//! A device of any law, on many cells at a time.

use std::fmt::Debug;

use crossburn_noise::ParameterDraws;

use super::ageing::{self, Ageing};
use super::law::Law;
use super::moments::RawMoments;
use super::{ConductanceRange, IvCurve, programming, read_noise};
use crate::HardwareError;

/// The operations on a law, whatever its type. Loops over cells are compiled for each law.
pub(super) trait Bulk: Debug + Send + Sync {
    fn range(&self) -> ConductanceRange;

    fn levels(&self) -> Option<Vec<f32>>;

    fn iv_curve(&self) -> Option<IvCurve>;

    fn program(&self, targets: &[f32], draws: &dyn ParameterDraws) -> Vec<f32>;

    fn programming_moments(&self, target: f64) -> RawMoments;

    fn has_drift(&self) -> bool;

    /// Whether there is a time law, an error where it does not reach.
    fn check_after(&self, after: f64) -> Result<bool, HardwareError>;

    fn age(
        &self,
        programmed: Vec<f32>,
        targets: &[f32],
        after: f64,
        draws: &dyn ParameterDraws,
    ) -> Result<Vec<f32>, HardwareError>;

    fn aged_moments(&self, target: f64, after: f64) -> Result<RawMoments, HardwareError>;

    fn has_read_noise(&self) -> bool;

    fn read_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>>;

    fn held_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>>;
}

impl<L: Law> Bulk for L {
    fn range(&self) -> ConductanceRange {
        Law::range(self)
    }

    fn levels(&self) -> Option<Vec<f32>> {
        Law::levels(self)
    }

    fn iv_curve(&self) -> Option<IvCurve> {
        Law::iv_curve(self)
    }

    fn program(&self, targets: &[f32], draws: &dyn ParameterDraws) -> Vec<f32> {
        programming::program(self, targets, draws)
    }

    fn programming_moments(&self, target: f64) -> RawMoments {
        programming::moments(self, target)
    }

    fn has_drift(&self) -> bool {
        L::Ageing::EXISTS && !matches!(self.ageing(1.0), Ok(None))
    }

    fn check_after(&self, after: f64) -> Result<bool, HardwareError> {
        Ok(self.ageing(after)?.is_some())
    }

    fn age(
        &self,
        programmed: Vec<f32>,
        targets: &[f32],
        after: f64,
        draws: &dyn ParameterDraws,
    ) -> Result<Vec<f32>, HardwareError> {
        Ok(match self.ageing(after)? {
            Some(ageing) => ageing::age(&ageing, programmed, targets, draws),
            None => programmed,
        })
    }

    fn aged_moments(&self, target: f64, after: f64) -> Result<RawMoments, HardwareError> {
        Ok(match self.ageing(after)? {
            Some(ageing) => ageing::aged_moments(self, &ageing, target),
            None => programming::moments(self, target),
        })
    }

    fn has_read_noise(&self) -> bool {
        self.read(0.0).is_some()
    }

    fn read_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>> {
        let read = self.read(after)?;
        Some(read_noise::read_sigma(&read, conductances))
    }

    fn held_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>> {
        let held = self.held(after)?;
        Some(read_noise::read_sigma(&held, conductances))
    }
}
