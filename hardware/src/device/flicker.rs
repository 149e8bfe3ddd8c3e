//! 1/f noise of phase-change cells, accumulated from writing to reading.

use super::power_law::{Exponent, PowerLaw};
use super::read_noise::ReadNoise;

/// The noise level of a cell.
pub(super) trait Level: Sync {
    /// Q for the conductance relative to `g_max` that the cell was written to.
    fn level(&self, written: f64) -> f64;
}

/// ```text
/// sigma = g(t) Q(g_p / g_max) sqrt(ln((t + t_0 + t_read) / (2 t_read)))
/// ```
///
/// Reading knows the drifted conductance, not the written one: the mean drift of the state is undone first. A cell whose
/// exponent is one standard deviation off (0.008 above a fifth of `g_max`) is then read with a sigma that is 4 % off
/// after a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flicker<L> {
    law: L,
    drift: PowerLaw<L>,
    accumulated: f64,
}

impl<L: Level + Exponent + Copy> Flicker<L> {
    /// The noise after `after` seconds, for the window `t_read`.
    pub(super) fn new(law: L, g_max: f64, t_0: f64, t_read: f64, after: f64) -> Self {
        Self {
            law,
            drift: PowerLaw::new(law, g_max, t_0, after),
            accumulated: accumulated(after + t_0, t_read),
        }
    }
}

impl<L: Level + Exponent> ReadNoise for Flicker<L> {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        let written = self.drift.undone(conductance);
        conductance * self.law.level(written) * self.accumulated
    }
}

/// `sqrt(ln((t + t_read) / (2 t_read)))`, 0 before `t_read` has passed.
pub(super) fn accumulated(since_writing: f64, t_read: f64) -> f64 {
    libm::log((since_writing + t_read) / (2.0 * t_read))
        .max(0.0)
        .sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_accumulates_as_tabulated() {
        // 250 ns window, first read after 20 s: 4.18 there, 5.09 a day and 5.64 a year later; two decimals.
        for (after, expected) in [(0.0, 4.18), (86_400.0, 5.09), (31_536_000.0, 5.64)] {
            assert!((accumulated(after + 20.0, 250e-9) - expected).abs() < 5.1e-3);
        }
        assert_eq!(accumulated(0.0, 1e-6), 0.0);
    }
}
