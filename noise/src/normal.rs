//! The standard normal distribution: density, distribution function, and the quantile function that makes every draw.

/// Draws that are worked on at a time: a few kilobytes of buffers on the stack. A multiple of a Philox block.
pub(crate) const BATCH: usize = 256;

/// Density of the standard normal.
pub(crate) fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// Distribution function of the standard normal.
pub(crate) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// Replaces every probability in (0, 1) by its standard normal quantile.
///
/// Every value goes through the central fit, which is arithmetic without branches; the 15 % that lie in the tails are
/// then gathered, computed together and put back. The result for a probability does not depend on its neighbours.
///
/// # Source
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
/// routine PPND16: relative error about 1e-16.
pub(crate) fn normal_quantiles(values: &mut [f64]) {
    values.chunks_mut(BATCH).for_each(quantiles_of_batch);
}

fn quantiles_of_batch(values: &mut [f64]) {
    let mut places = [0u16; BATCH];
    let mut tails = 0;
    for (place, value) in values.iter().enumerate() {
        places[tails] = place as u16;
        tails += usize::from((value - 0.5).abs() > CENTRE);
    }
    let places = &places[..tails];
    let (mut roots, mut found) = ([0.0; BATCH], [0.0; BATCH]);
    let (roots, found) = (&mut roots[..tails], &mut found[..tails]);
    for (root, place) in roots.iter_mut().zip(places) {
        let p = values[usize::from(*place)];
        *root = -libm::log(p.min(1.0 - p));
    }
    for (magnitude, root) in found.iter_mut().zip(roots.iter_mut()) {
        *root = root.sqrt();
        *magnitude = ratio(*root - 1.6, &TAIL);
    }
    for ((magnitude, root), place) in found.iter_mut().zip(roots).zip(places) {
        if *root > 5.0 {
            *magnitude = ratio(*root - 5.0, &FAR_TAIL);
        }
        *magnitude = magnitude.copysign(values[usize::from(*place)] - 0.5);
    }
    for value in values.iter_mut() {
        let q = *value - 0.5;
        let (numerator, denominator) = fractions(CENTRE_SQUARED - q * q, &CENTRAL);
        *value = q * numerator / denominator;
    }
    for (value, place) in found.iter().zip(places) {
        values[usize::from(*place)] = *value;
    }
}

/// Numerator and denominator of a fit at `r`, by Horner's rule.
#[inline(always)]
fn fractions(r: f64, fit: &Fit) -> (f64, f64) {
    let horner = |c: &[f64; 8]| {
        ((((((c[0] * r + c[1]) * r + c[2]) * r + c[3]) * r + c[4]) * r + c[5]) * r + c[6]) * r
            + c[7]
    };
    (horner(&fit.0), horner(&fit.1))
}

#[inline(always)]
fn ratio(r: f64, fit: &Fit) -> f64 {
    let (numerator, denominator) = fractions(r, fit);
    numerator / denominator
}

/// A rational fit: numerator and denominator, highest power first.
type Fit = ([f64; 8], [f64; 8]);

/// Distance from 1/2 up to which the central fit holds, and its square, as the source writes it.
const CENTRE: f64 = 0.425;
const CENTRE_SQUARED: f64 = 0.180625;

/// In 0.180625 - (p - 1/2)².
#[allow(
    clippy::excessive_precision,
    reason = "the digits are those of the source"
)]
const CENTRAL: Fit = (
    [
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.387132872796366608,
    ],
    [
        5226.495278852545925,
        28729.085735721942674,
        39307.89580009271061,
        21213.794301586595867,
        5394.1960214247511077,
        687.1870074920579083,
        42.313330701600911252,
        1.0,
    ],
);

/// In sqrt(-ln p) - 1.6, for tail probabilities p down to exp(-25).
#[allow(
    clippy::excessive_precision,
    reason = "the digits are those of the source"
)]
const TAIL: Fit = (
    [
        7.7454501427834140764e-4,
        0.0227238449892691845833,
        0.24178072517745061177,
        1.27045825245236838258,
        3.64784832476320460504,
        5.7694972214606914055,
        4.6303378461565452959,
        1.42343711074968357734,
    ],
    [
        1.05075007164441684324e-9,
        5.475938084995344946e-4,
        0.0151986665636164571966,
        0.14810397642748007459,
        0.68976733498510000455,
        1.6763848301838038494,
        2.05319162663775882187,
        1.0,
    ],
);

/// In sqrt(-ln p) - 5, below that.
#[allow(
    clippy::excessive_precision,
    reason = "the digits are those of the source"
)]
const FAR_TAIL: Fit = (
    [
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.0012426609473880784386,
        0.026532189526576123093,
        0.29656057182850489123,
        1.7848265399172913358,
        5.4637849111641143699,
        6.6579046435011037772,
    ],
    [
        2.04426310338993978564e-15,
        1.4215117583164458887e-7,
        1.8463183175100546818e-5,
        7.868691311456132591e-4,
        0.0148753612908506148525,
        0.13692988092273580531,
        0.59983220655588793769,
        1.0,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{Continuous, ContinuousCDF, Normal};

    fn quantile(p: f64) -> f64 {
        let mut value = [p];
        normal_quantiles(&mut value);
        value[0]
    }

    #[test]
    fn quantiles_are_those_of_an_independent_implementation() {
        let normal = Normal::standard();
        let grid = (1..20_000).map(|i| f64::from(i) / 20_000.0);
        // The tails of 32-bit uniforms, and beyond them the far tail down to 2^-60.
        let tails = (2..=60).flat_map(|e| [0.5f64.powi(e), 0.74 * 0.5f64.powi(e)]);
        for p in grid.chain(tails) {
            let (found, expected) = (quantile(p), normal.inverse_cdf(p));
            // A rounding error of either side, magnified: both take differences from 1/2 and 1.
            assert!(
                (found - expected).abs() <= 4e-15 * (1.0 + expected.abs()),
                "{p}: {found} {expected}"
            );
        }
        assert_eq!(quantile(0.5), 0.0);
    }

    #[test]
    fn a_quantile_does_not_depend_on_its_neighbours() {
        let values: Vec<f64> = (0..1000u32)
            .map(|i| (f64::from(i.wrapping_mul(2_654_435_761)) + 0.5) / 2f64.powi(32))
            .collect();
        let mut together = values.clone();
        normal_quantiles(&mut together);
        assert!(
            values
                .iter()
                .zip(together)
                .all(|(p, z)| quantile(*p).to_bits() == z.to_bits())
        );
        // All in the tails, and none.
        for p in [1e-3, 0.4] {
            let mut same = [p; BATCH + 1];
            normal_quantiles(&mut same);
            assert!(same.iter().all(|z| z.to_bits() == quantile(p).to_bits()));
        }
    }

    #[test]
    fn density_and_distribution_function_are_those_of_an_independent_implementation() {
        let normal = Normal::standard();
        for step in -60..=60 {
            let z = f64::from(step) / 10.0;
            // statrs states 1e-11 for its error function.
            assert!(
                (cumulative(z) - normal.cdf(z)).abs() <= 1e-10 * normal.cdf(z),
                "{z}"
            );
            assert!((density(z) - normal.pdf(z)).abs() <= 1e-14, "{z}");
        }
    }
}
