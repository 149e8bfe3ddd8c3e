//! The quantile function of the standard normal distribution. It makes every normal draw.
//!
//! # Cost
//! A value moves 16 bytes in and out and takes 30 additions and multiplications and one division. The 15 % of the values in the tails take a
//! logarithm, a root and a second fit on top. Values stay in the first-level cache, so arithmetic is the floor: about 15 cycles for four values if a
//! register holds four, half of it for the division. The centre takes half of the time and reaches this floor. The tails take a quarter, and
//! finding, gathering and putting back their values the rest.
//!
//! # Bits
//! The order of operations is fixed and no multiplication is fused with an addition. Wider registers therefore handle more values but give the same
//! bits. The logarithm is written out here for the same reason, so that no library can change it.
//!
//! # Tried
//! Without explicit vectors, the compiler handles one vector at a time. Because every step waits for the one before, the tails take twice as long.
//! Gathering with one counter instead of bit masks takes three times as long.

use pulp::{Arch, Simd, WithSimd};

/// Values that are processed at a time. Their buffers take a few kilobytes of the stack.
const BATCH: usize = 256;

/// Replaces every probability in (0, 1) by its standard normal quantile.
///
/// Every value goes through the central fit, which is arithmetic without branches. The 15 % in the tails are then gathered, computed together and put
/// back. The result for a probability depends neither on its neighbours nor on the processor. A value that is no probability, or is within 2^-1022
/// of 0, gives NaN.
///
/// # Source
/// Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37 (1988),
/// routine PPND16: relative error about 1e-16.
///
/// ```
/// let mut values = [0.5, 0.975];
/// crossburn_kernels::normal_quantiles(&mut values);
/// assert_eq!(values[0], 0.0);
/// assert!((values[1] - 1.959_963_984_540_054).abs() < 1e-14);
/// ```
pub fn normal_quantiles(values: &mut [f64]) {
    quantiles_on(Arch::new(), values);
}

fn quantiles_on(arch: Arch, values: &mut [f64]) {
    arch.dispatch(Quantiles(values));
}

/// The body of [`normal_quantiles`]: plain loops, compiled for the instruction set that calls it.
pub(super) struct Quantiles<'a>(pub(super) &'a mut [f64]);

impl WithSimd for Quantiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut tail = Tail::new();
        let (batches, rest) = self.0.as_chunks_mut::<BATCH>();
        for batch in batches {
            quantiles_of_batch(simd, batch, BATCH, &mut tail);
        }
        if !rest.is_empty() {
            let mut batch = [0.5; BATCH];
            batch[..rest.len()].copy_from_slice(rest);
            quantiles_of_batch(simd, &mut batch, rest.len(), &mut tail);
            rest.copy_from_slice(&batch[..rest.len()]);
        }
    }
}

/// Replaces the first `count` of `values`.
#[inline(always)]
fn quantiles_of_batch<S: Simd>(simd: S, values: &mut [f64; BATCH], count: usize, tail: &mut Tail) {
    let padded = count
        .next_multiple_of(S::F64_LANES * SIDE_BY_SIDE)
        .min(BATCH);
    let mut places = [0u8; BATCH];
    let tails = places_of_tails(&values[..padded], &mut places);
    let places = &places[..tails];
    for (p, place) in tail.values.iter_mut().zip(places) {
        *p = values[usize::from(*place)];
    }
    tail.quantiles(simd, tails);
    for group in vectors_mut::<S>(&mut values[..padded]) {
        central_fit(simd, group);
    }
    for (z, place) in tail.values.iter().zip(places) {
        values[usize::from(*place)] = *z;
    }
}

/// Writes the indices of the values outside the central fit, and gives their number.
#[inline(always)]
fn places_of_tails(values: &[f64], places: &mut [u8; BATCH]) -> usize {
    let mut outside = [0u8; BATCH];
    for (outside, value) in outside.iter_mut().zip(values) {
        *outside = u8::from((value - 0.5).abs() > CENTRE);
    }
    let mut found = 0;
    for (word, bytes) in outside.as_chunks::<64>().0.iter().enumerate() {
        // Turns eight bytes of 0 or 1 into eight bits: the product moves byte i to bit i of its highest byte.
        let mut mask = 0u64;
        for (group, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let bits = u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            mask |= bits << (8 * group);
        }
        while mask != 0 {
            places[found] = (64 * word) as u8 + mask.trailing_zeros() as u8;
            found += 1;
            mask &= mask - 1;
        }
    }
    found
}

/// Memory for the values of a batch that are in the tails.
struct Tail {
    /// The gathered values: first probabilities, later quantiles.
    values: [f64; BATCH],
    /// For one group: exponent and mantissa minus one of the smaller of p and 1 - p, then sqrt(-ln p), then the quantiles.
    k: [f64; WIDEST],
    f: [f64; WIDEST],
    depth: [f64; WIDEST],
    z: [f64; WIDEST],
}

impl Tail {
    #[inline(always)]
    fn new() -> Self {
        let zero = [0.0; WIDEST];
        Self {
            values: [0.0; BATCH],
            k: zero,
            f: zero,
            depth: zero,
            z: zero,
        }
    }

    /// Replaces the first `count` probabilities, and some of those after them, by their quantiles.
    #[inline(always)]
    fn quantiles<S: Simd>(&mut self, simd: S, count: usize) {
        let width = S::F64_LANES * SIDE_BY_SIDE;
        let padded = count.next_multiple_of(width).min(BATCH);
        for p in self.values[..padded].chunks_exact_mut(width) {
            for ((p, k), f) in p.iter().zip(&mut self.k).zip(&mut self.f) {
                let from_end = 1.0 - p;
                (*k, *f) = exponent_and_mantissa(if *p < from_end { *p } else { from_end });
            }
            let (k, f) = (&self.k[..width], &self.f[..width]);
            let (k, f) = (vectors::<S>(k), vectors::<S>(f));
            let depth = vectors_mut::<S>(&mut self.depth[..width]);
            for ((k, f), depth) in k.iter().zip(f).zip(depth) {
                depths(simd, k, f, depth);
            }
            let (probability, depth) = (vectors::<S>(p), vectors::<S>(&self.depth));
            let z = vectors_mut::<S>(&mut self.z);
            for ((p, depth), z) in probability.iter().zip(depth).zip(z) {
                tail_fit(simd, p, depth, z);
            }
            for ((p, depth), z) in p.iter_mut().zip(&self.depth).zip(&self.z) {
                let side = *p - 0.5;
                *p = *z;
                if *depth > 5.0 {
                    let r = *depth - 5.0;
                    let polynomial = |fit: &[f64]| fit.iter().fold(0.0, |sum, c| sum * r + c);
                    let magnitude: f64 = polynomial(&FAR_TAIL.0) / polynomial(&FAR_TAIL.1);
                    *p = magnitude.copysign(side);
                }
            }
        }
    }
}

/// `values` as groups of vectors.
#[inline(always)]
fn vectors<S: Simd>(values: &[f64]) -> &[Vectors<S>] {
    S::as_simd_f64s(values).0.as_chunks().0
}

#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [f64]) -> &mut [Vectors<S>] {
    S::as_mut_simd_f64s(values).0.as_chunks_mut().0
}

/// Vectors whose tails are computed side by side. The chain of operations for one vector is long, and a processor does not look far enough ahead to
/// start the next one by itself.
const SIDE_BY_SIDE: usize = 4;
/// The most values of such a group, with vectors of 512 bits.
const WIDEST: usize = 8 * SIDE_BY_SIDE;
type Vectors<S> = [<S as Simd>::f64s; SIDE_BY_SIDE];

/// Replaces probabilities near 1/2 by their quantiles.
#[inline(always)]
fn central_fit<S: Simd>(simd: S, p: &mut Vectors<S>) {
    let (half, end) = (simd.splat_f64s(0.5), simd.splat_f64s(CENTRE_SQUARED));
    let mut r = *p;
    for i in 0..SIDE_BY_SIDE {
        p[i] = simd.sub_f64s(p[i], half);
        r[i] = simd.sub_f64s(end, simd.mul_f64s(p[i], p[i]));
    }
    let (numerator, denominator) = (horner(simd, &r, &CENTRAL.0), horner(simd, &r, &CENTRAL.1));
    for i in 0..SIDE_BY_SIDE {
        p[i] = simd.div_f64s(simd.mul_f64s(p[i], numerator[i]), denominator[i]);
    }
}

/// The quantiles of the probabilities `p` whose depth is at most 5.
#[inline(always)]
fn tail_fit<S: Simd>(simd: S, p: &Vectors<S>, depth: &Vectors<S>, z: &mut Vectors<S>) {
    let (half, start) = (simd.splat_f64s(0.5), simd.splat_f64s(1.6));
    let sign = simd.splat_u64s(1 << 63);
    let mut r = *depth;
    for r in &mut r {
        *r = simd.sub_f64s(*r, start);
    }
    let (numerator, denominator) = (horner(simd, &r, &TAIL.0), horner(simd, &r, &TAIL.1));
    for i in 0..SIDE_BY_SIDE {
        let magnitude = simd.div_f64s(numerator[i], denominator[i]);
        let side = simd.transmute_u64s_f64s(simd.sub_f64s(p[i], half));
        let magnitude = simd.transmute_u64s_f64s(magnitude);
        z[i] = simd.transmute_f64s_u64s(simd.or_u64s(magnitude, simd.and_u64s(side, sign)));
    }
}

/// sqrt(-ln x) of numbers given by exponent k and mantissa minus one, f.
///
/// ```text
/// x = 2^k (1 + f), sqrt(1/2) < 1 + f < sqrt(2)      s = f / (2 + f)
/// ln x = k ln 2 + f - f²/2 + s (f²/2 + R(s²))        R: polynomial fit of ln(1 + f) - 2s over s, error 2^-58
/// ```
///
/// # Source
/// The reduction and the coefficients are those of FreeBSD's `e_log.c` (Sun Microsystems 1993), in its order of
/// operations: error of the logarithm below one unit in the last place.
#[inline(always)]
#[allow(
    clippy::excessive_precision,
    reason = "the digits are those of the source"
)]
fn depths<S: Simd>(simd: S, k: &Vectors<S>, f: &Vectors<S>, depth: &mut Vectors<S>) {
    const EVEN: [f64; 3] = [
        1.531383769920937332e-01,
        2.222219843214978396e-01,
        3.999999999940941908e-01,
    ];
    const ODD: [f64; 4] = [
        1.479819860511658591e-01,
        1.818357216161805012e-01,
        2.857142874366239149e-01,
        6.666666666666735130e-01,
    ];
    let (half, two) = (simd.splat_f64s(0.5), simd.splat_f64s(2.0));
    let ln_2_low = simd.splat_f64s(1.90821492927058770002e-10);
    let ln_2_high = simd.splat_f64s(6.93147180369123816490e-01);
    let (mut s, mut z, mut w) = (*f, *f, *f);
    for i in 0..SIDE_BY_SIDE {
        s[i] = simd.div_f64s(f[i], simd.add_f64s(two, f[i]));
        z[i] = simd.mul_f64s(s[i], s[i]);
        w[i] = simd.mul_f64s(z[i], z[i]);
    }
    let (even, odd) = (horner(simd, &w, &EVEN), horner(simd, &w, &ODD));
    for i in 0..SIDE_BY_SIDE {
        let half_square = simd.mul_f64s(simd.mul_f64s(half, f[i]), f[i]);
        let even = simd.mul_f64s(w[i], even[i]);
        let r = simd.add_f64s(simd.mul_f64s(z[i], odd[i]), even);
        let sum = simd.mul_f64s(s[i], simd.add_f64s(half_square, r));
        let sum = simd.add_f64s(sum, simd.mul_f64s(k[i], ln_2_low));
        let sum = simd.add_f64s(simd.sub_f64s(sum, half_square), f[i]);
        let logarithm = simd.add_f64s(sum, simd.mul_f64s(k[i], ln_2_high));
        depth[i] = simd.sqrt_f64s(simd.neg_f64s(logarithm));
    }
}

/// Splits `x = 2^k (1 + f)`, where `1 + f` is between the square roots of 1/2 and 2. f is NaN if x is below 2^-1022.
#[inline(always)]
fn exponent_and_mantissa(x: f64) -> (f64, f64) {
    /// The bits of sqrt(1/2), and their distance to the bits of 1, so that the exponent changes at sqrt(1/2).
    const HALF_ROOT: u64 = 0x3fe6_a09e << 32;
    const SHIFT: u64 = (0x3ff0_0000 << 32) - HALF_ROOT;
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = x.to_bits().wrapping_add(SHIFT);
    let k = small_integer(bits >> 52) - 1023.0;
    let f = f64::from_bits((bits & MANTISSA).wrapping_add(HALF_ROOT)) - 1.0;
    (k, if x >= f64::MIN_POSITIVE { f } else { f64::NAN })
}

/// An integer below 2^52 as a float. It becomes the low bits of 2^52, which every instruction set can do with vectors.
#[inline(always)]
pub(super) fn small_integer(n: u64) -> f64 {
    const BIG: f64 = (1u64 << 52) as f64;
    f64::from_bits(BIG.to_bits() | n) - BIG
}

/// A polynomial at `r`, highest power first, by Horner's rule.
#[inline(always)]
fn horner<S: Simd>(simd: S, r: &Vectors<S>, coefficients: &[f64]) -> Vectors<S> {
    let mut sum = [simd.splat_f64s(coefficients[0]); SIDE_BY_SIDE];
    for c in &coefficients[1..] {
        let c = simd.splat_f64s(*c);
        for i in 0..SIDE_BY_SIDE {
            sum[i] = simd.add_f64s(simd.mul_f64s(sum[i], r[i]), c);
        }
    }
    sum
}

/// A rational fit: numerator and denominator, from the highest power down.
type Fit = ([f64; 8], [f64; 8]);

/// Distance from 1/2 up to which the central fit holds, and its square as the source gives it.
const CENTRE: f64 = 0.425;
const CENTRE_SQUARED: f64 = 0.180625;

/// Fit in 0.180625 - (p - 1/2)².
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

/// Fit in sqrt(-ln p) - 1.6, for tail probabilities p down to exp(-25).
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

/// Fit in sqrt(-ln p) - 5, for smaller p.
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
    use crate::testing::paths;
    use statrs::distribution::{ContinuousCDF, Normal};

    fn quantile(p: f64) -> f64 {
        let mut value = [p];
        normal_quantiles(&mut value);
        value[0]
    }

    #[test]
    fn quantiles_are_those_of_an_independent_implementation() {
        let normal = Normal::standard();
        let grid = (1..20_000).map(|i| f64::from(i) / 20_000.0);
        // The tails of 32-bit uniform numbers, and beyond them the far tail down to 2^-60.
        let tails = (2..=60).flat_map(|e| [0.5f64.powi(e), 0.74 * 0.5f64.powi(e)]);
        for p in grid.chain(tails) {
            let (found, expected) = (quantile(p), normal.inverse_cdf(p));
            // Rounding errors of both sides are magnified, because both take differences from 1/2 and 1.
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
        // All values are in the tails, and then none.
        for p in [1e-3, 0.4] {
            let mut same = [p; BATCH + 1];
            normal_quantiles(&mut same);
            assert!(same.iter().all(|z| z.to_bits() == quantile(p).to_bits()));
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        // Dense in the middle and in both tails, including the far tail.
        let middle = (1..9973).map(|i| f64::from(i) / 9973.0);
        let low = (0..4000).map(|i| (-f64::from(i) / 6.0).exp());
        let high = (0..200).map(|i| 1.0 - (-f64::from(i) / 6.0).exp() / 2.0);
        let values: Vec<f64> = middle.chain(low.filter(|p| *p < 1.0)).chain(high).collect();
        let mut expected: Option<Vec<u64>> = None;
        for arch in paths() {
            let mut found = values.clone();
            quantiles_on(arch, &mut found);
            let bits = found.iter().map(|z| z.to_bits()).collect();
            assert_eq!(
                *expected.get_or_insert_with(|| Vec::clone(&bits)),
                bits,
                "{arch:?}"
            );
        }
    }

    #[test]
    fn what_is_no_probability_gives_nan() {
        for p in [
            0.0,
            1.0,
            -0.1,
            1.1,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert!(quantile(p).is_nan(), "{p}: {}", quantile(p));
        }
    }
}
