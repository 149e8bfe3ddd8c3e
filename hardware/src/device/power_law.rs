//! Drift by a power law whose exponent differs from cell to cell.

use super::ageing::Ageing;
use super::elementary::exp;
use super::moments::{RawMoments, cumulative, density};

/// The drift exponent of a cell: `nu = |mu + s ξ|`, drawn once per cell.
pub(super) trait Exponent: Sync {
    /// `mu` and `s` for a conductance relative to `g_max`.
    fn exponent(&self, relative: f64) -> (f64, f64);
}

/// `g(t) = g_p ((t + t_0) / t_0)^(-nu)`; `t` counts from the first read, which is `t_0` after writing.
#[derive(Clone, Copy, Debug)]
pub(super) struct PowerLaw<E> {
    exponent: E,
    per_g_max: f64,
    log_time: f64,
}

impl<E: Exponent> PowerLaw<E> {
    /// The law after `after` seconds.
    pub(super) fn new(exponent: E, g_max: f64, t_0: f64, after: f64) -> Self {
        Self {
            exponent,
            per_g_max: 1.0 / g_max,
            log_time: libm::log((after + t_0) / t_0),
        }
    }

    /// The conductance relative to `g_max` that a cell was written to, if it drifted to `conductance` with the mean
    /// exponent of its state: three steps of `r = g / g_max e^(mu(r) ln((t + t_0) / t_0))`.
    #[inline(always)]
    pub(super) fn undone(&self, conductance: f64) -> f64 {
        let now = conductance * self.per_g_max;
        // Written out: a loop or closure in here would keep the loop over cells from running on vectors.
        let first = self.step(now, now);
        let second = self.step(now, first);
        self.step(now, second)
    }

    #[inline(always)]
    fn step(&self, now: f64, written: f64) -> f64 {
        now * exp(self.exponent.exponent(written).0 * self.log_time)
    }
}

impl<E: Exponent> Ageing for PowerLaw<E> {
    #[inline(always)]
    fn age(&self, programmed: f64, target: f64, draw: f64) -> f64 {
        let (mu, s) = self.exponent.exponent(target * self.per_g_max);
        programmed * exp(-(mu + s * draw).abs() * self.log_time)
    }

    fn moments(&self, programmed: f64, target: f64) -> RawMoments {
        let (mu, s) = self.exponent.exponent(target * self.per_g_max);
        RawMoments {
            mean: programmed * folded_normal_transform(mu, s, self.log_time),
            second: programmed * programmed * folded_normal_transform(mu, s, 2.0 * self.log_time),
        }
    }
}

/// `E[e^(-L |N|)]` of a normal `N` with mean `mu` and standard deviation `s`.
///
/// ```text
/// e^(s²L²/2 - mu L) Φ(mu/s - s L) + e^(s²L²/2 + mu L) Φ(-mu/s - s L)
/// ```
fn folded_normal_transform(mu: f64, s: f64, l: f64) -> f64 {
    if s == 0.0 {
        return libm::exp(-mu.abs() * l);
    }
    // e^(s²L²/2 ∓ mu L) Φ(-x) with x = s L ∓ mu/s: the first factor overflows where the second vanishes. There Φ(-x) is
    // φ(x)/x (1 - 1/x² + 3/x⁴), and e^(s²L²/2 ∓ mu L) φ(x) is φ(mu/s).
    let part = |mu: f64| {
        let x = s * l - mu / s;
        match x > 30.0 {
            true => density(mu / s) / x * (1.0 - 1.0 / (x * x) + 3.0 / x.powi(4)),
            false => libm::exp(0.5 * s * s * l * l - mu * l) * cumulative(-x),
        }
    };
    part(mu) + part(-mu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_the_integral() {
        for (mu, s, l) in [
            (0.049, 0.008, 8.4),
            (0.1, 0.045, 14.3),
            (0.1, 0.05, 28.0),
            (0.0, 1.0, 1.0),
        ] {
            let step = 1e-4;
            let sum: f64 = (-100_000..=100_000)
                .map(|i| f64::from(i) * step)
                .map(|z| density(z) * libm::exp(-l * (mu + s * z).abs()) * step)
                .sum();
            // The kink of |.| costs about L s step² of the trapezoidal sum.
            assert!((folded_normal_transform(mu, s, l) - sum).abs() < 1e-7);
        }
        assert_eq!(folded_normal_transform(0.1, 0.0, 2.0), libm::exp(-0.2));
        // Of a wide exponent after a long time, where both factors leave the numbers: 2 φ(0) / (s L) for mu = 0.
        for (s, l) in [(3.0, 12.9), (3.0, 14.0), (100.0, 40.0)] {
            let limit = 2.0 * density(0.0) / (s * l);
            let found = folded_normal_transform(0.0, s, l);
            // The next term of the series.
            assert!(
                (found / limit - 1.0).abs() < 1.1 / (s * l * s * l),
                "{s} {l}: {found}"
            );
        }
    }
}
