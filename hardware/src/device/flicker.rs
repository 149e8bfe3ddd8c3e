//! 1/f noise of cells, accumulated from writing to reading.
//!
//! Noise whose power is `(g Q)² / f` has, between the frequencies of the time since writing and of the read window, the
//! variance
//!
//! ```text
//! σ² = (g Q)² ln((t + t_read) / (2 t_read))
//! ```
//!
//! (Nandakumar et al., ICECS 2019.) A chip that is judged on a test set is read many times within about a second: an array
//! cycle takes 100 ns, an image of a LeNet some hundred positions and eight input slices, and there are thousands of
//! images. What fluctuates more slowly is the same in all of these reads, and what fluctuates faster differs from one to
//! the next. The spectrum is therefore cut at [`HELD`], and the variances add up to the one above:
//!
//! ```text
//! fast, drawn per read     σ² = (g Q)² ln((min(t, 1 s) + t_read) / (2 t_read))
//! slow, held by a chip     σ² = the rest: (g Q)² ln((t + t_read) / (1 s + t_read)) after the first second
//! ```

use super::power_law::{Exponent, PowerLaw};
use super::read_noise::ReadNoise;

/// The noise level of a cell.
pub(super) trait Level: Sync {
    /// Q for the conductance relative to `g_max` that the cell was written to.
    fn level(&self, written: f64) -> f64;
}

/// ```text
/// sigma = g(t) Q(g_p / g_max) accumulated
/// ```
///
/// where a [`Part`] of the noise has accumulated.
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
    /// A part of the noise after `after` seconds, for the window `t_read`.
    pub(super) fn new(law: L, g_max: f64, t_0: f64, t_read: f64, after: f64, part: Part) -> Self {
        Self {
            law,
            drift: PowerLaw::new(law, g_max, t_0, after),
            accumulated: accumulated(after + t_0, t_read, part),
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

/// Fluctuations with longer periods are held by a chip, in s.
const HELD: f64 = 1.0;

/// Which fluctuations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// New at every read.
    Fast,
    /// The same in all reads of a chip at one time.
    Slow,
}

/// `σ / (g Q)` of a part: `sqrt(ln((t + t_read) / (2 t_read)))` for both together, 0 before `t_read` has passed.
pub(super) fn accumulated(since_writing: f64, t_read: f64, part: Part) -> f64 {
    let variance = |time: f64| libm::log((time + t_read) / (2.0 * t_read)).max(0.0);
    let fast = variance(since_writing.min(HELD));
    match part {
        Part::Fast => fast.sqrt(),
        Part::Slow => (variance(since_writing) - fast).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_together_accumulate_as_tabulated() {
        // 250 ns window, first read after 20 s: 4.18 there, 5.09 a day and 5.64 a year later; two decimals.
        for (after, expected) in [(0.0, 4.18), (86_400.0, 5.09), (31_536_000.0, 5.64)] {
            let of = |part| accumulated(after + 20.0, 250e-9, part);
            let both = of(Part::Fast).hypot(of(Part::Slow));
            assert!((both - expected).abs() < 5.1e-3, "{both}");
        }
        assert_eq!(accumulated(0.0, 1e-6, Part::Fast), 0.0);
    }

    #[test]
    fn the_fast_part_ends_at_a_second_and_the_slow_part_begins_there() {
        // ln(1 s / 0.5 us) = 14.5087 of the variance, whenever the chip is read; ln(20) = 2.9957 after 20 s.
        for after in [1.0, 20.0, 1e7] {
            assert!((accumulated(after, 250e-9, Part::Fast).powi(2) - 14.5087).abs() < 1e-4);
        }
        assert!((accumulated(20.0, 250e-9, Part::Slow).powi(2) - 2.9957).abs() < 1e-4);
        assert_eq!(accumulated(0.5, 250e-9, Part::Slow), 0.0);
        // A window of more than a second leaves nothing to be fast.
        assert_eq!(accumulated(100.0, 2.0, Part::Fast), 0.0);
        assert!((accumulated(100.0, 2.0, Part::Slow).powi(2) - 25.5f64.ln()).abs() < 1e-12);
    }
}
