//! Means and standard deviations of clamped distributions, in closed form.

use std::f64::consts::{PI, SQRT_2};

/// Mean and standard deviation of a conductance, uS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// Mean, uS.
    pub mean: f64,
    /// Standard deviation, uS.
    pub sigma: f64,
}

/// Mean and mean square of a conductance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawMoments {
    /// Mean, uS.
    pub mean: f64,
    /// Mean square, uS².
    pub second: f64,
}

impl RawMoments {
    /// Mean and spread of a number that does not vary.
    pub fn certain(value: f64) -> Self {
        Self {
            mean: value,
            second: value * value,
        }
    }

    pub(super) fn moments(self) -> Moments {
        Moments {
            mean: self.mean,
            sigma: (self.second - self.mean * self.mean).max(0.0).sqrt(),
        }
    }
}

/// The range of a cell. Values beyond it are set to its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lowest conductance, uS.
    pub low: f64,
    /// Highest conductance, uS.
    pub high: f64,
}

impl Bounds {
    /// A conductance is not negative.
    pub const NOT_NEGATIVE: Self = Self {
        low: 0.0,
        high: f64::INFINITY,
    };
    /// No clamp.
    pub const NONE: Self = Self {
        low: f64::NEG_INFINITY,
        high: f64::INFINITY,
    };

    /// `value`, or the bound that it is beyond.
    #[inline(always)]
    pub fn clamp(self, value: f64) -> f64 {
        value.max(self.low).min(self.high)
    }

    /// Moments of a clamped normal.
    ///
    /// ```text
    /// a = (low - m) / s, b = (high - m) / s, P = Φ(b) - Φ(a)
    /// E[g]  = low Φ(a) + high Φ(-b) + m P + s (φ(a) - φ(b))
    /// E[g²] = low² Φ(a) + high² Φ(-b) + (m² + s²) P + 2 m s (φ(a) - φ(b)) + s² (a φ(a) - b φ(b))
    /// ```
    pub(super) fn of_normal(self, m: f64, s: f64) -> RawMoments {
        if s == 0.0 {
            return RawMoments::certain(self.clamp(m));
        }
        let (a, b) = ((self.low - m) / s, (self.high - m) / s);
        let inside = cumulative(-a) - cumulative(-b);
        let (phi_a, phi_b) = (density(a), density(b));
        let below = weighted(self.low, cumulative(a));
        let above = weighted(self.high, cumulative(-b));
        let mean = below.0 + above.0 + m * inside + s * (phi_a - phi_b);
        let second = below.1
            + above.1
            + (m * m + s * s) * inside
            + 2.0 * m * s * (phi_a - phi_b)
            + s * s * (weighted(a, phi_a).0 - weighted(b, phi_b).0);
        RawMoments { mean, second }
    }

    /// Moments of a clamped uniform of standard deviation `s`, which is `√12 s` wide.
    pub(super) fn of_uniform(self, m: f64, s: f64) -> RawMoments {
        if s == 0.0 {
            return RawMoments::certain(self.clamp(m));
        }
        let width = 12f64.sqrt() * s;
        let (first, last) = (m - 0.5 * width, m + 0.5 * width);
        let (low, high) = (self.clamp(first), self.clamp(last));
        // Nothing lies beyond a bound that clamps nothing.
        let below = ((low - first) / width).max(0.0);
        let above = ((last - high) / width).max(0.0);
        RawMoments {
            mean: low * below + high * above + (high * high - low * low) / (2.0 * width),
            second: low * low * below
                + high * high * above
                + (high.powi(3) - low.powi(3)) / (3.0 * width),
        }
    }
}

/// `x p` and `x² p`, nothing where `p` is nothing (an infinite bound).
fn weighted(x: f64, p: f64) -> (f64, f64) {
    if p == 0.0 {
        (0.0, 0.0)
    } else {
        (x * p, x * x * p)
    }
}

/// Density of the standard normal.
pub(super) fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt()
}

/// Distribution function of the standard normal.
pub(super) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Bounds::NOT_NEGATIVE, 0.0, 1.0)]
    #[case(Bounds::NOT_NEGATIVE, 1.5, 1.0)]
    #[case(Bounds::NONE, -1.0, 0.3)]
    #[case(Bounds { low: 9.0, high: 88.2 }, 88.0, 1.0)]
    fn clamped_moments_are_those_of_a_sum_over_the_density(
        #[case] bounds: Bounds,
        #[case] m: f64,
        #[case] s: f64,
    ) {
        // Midpoints of a million intervals: kinks at the bounds cost about h² = 4e-10 of the scale.
        let n = 1_000_000;
        let (mut normal, mut uniform) = ([0.0; 2], [0.0; 2]);
        for i in 0..n {
            let u = (f64::from(i) + 0.5) / f64::from(n);
            let z = 20.0 * u - 10.0;
            let g = bounds.clamp(m + s * z);
            let p = density(z) * 20.0 / f64::from(n);
            normal = [normal[0] + p * g, normal[1] + p * g * g];
            let g = bounds.clamp(m + s * 12f64.sqrt() * (u - 0.5));
            uniform = [
                uniform[0] + g / f64::from(n),
                uniform[1] + g * g / f64::from(n),
            ];
        }
        for (found, expected) in [
            (bounds.of_normal(m, s), normal),
            (bounds.of_uniform(m, s), uniform),
        ] {
            assert!(
                (found.mean - expected[0]).abs() < 1e-8 * expected[0].abs().max(1.0),
                "{found:?} {expected:?}"
            );
            assert!(
                (found.second - expected[1]).abs() < 1e-8 * expected[1].max(1.0),
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn a_half_normal_has_its_known_moments() {
        // max(0, Z): mean 1/√(2π), mean square 1/2.
        let found = Bounds::NOT_NEGATIVE.of_normal(0.0, 1.0);
        assert!((found.mean - 1.0 / (2.0 * PI).sqrt()).abs() < 1e-15);
        assert!((found.second - 0.5).abs() < 1e-15);
    }
}
