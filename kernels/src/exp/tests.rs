//! Compares with 64-bit floats, for every exponent of the argument and every instruction set.

use pulp::{Arch, Simd, WithSimd};

use super::{erf, exp, exp_of_difference, normal, sigmoid, tanh};
use crate::testing::paths;

#[derive(Clone, Copy, Debug)]
enum Which {
    Exp,
    Difference,
    Sigmoid,
    Tanh,
    Erf,
    Normal,
}

struct Run<'a>(Which, &'a [f32]);

impl WithSimd for Run<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let mut results = vec![0.0; self.1.len()];
        for (out, values) in results
            .chunks_mut(S::F32_LANES)
            .zip(self.1.chunks(S::F32_LANES))
        {
            let x = simd.partial_load_f32s(values);
            let y = match self.0 {
                Which::Exp => exp(simd, x),
                Which::Difference => exp_of_difference(simd, x),
                Which::Sigmoid => sigmoid(simd, x),
                Which::Tanh => tanh(simd, x),
                Which::Erf => erf(simd, x),
                Which::Normal => normal(simd, x).0,
            };
            simd.partial_store_f32s(out, y);
        }
        results
    }
}

fn run(arch: Arch, which: Which, values: &[f32]) -> Vec<f32> {
    arch.dispatch(Run(which, values))
}

/// Both signs of every magnitude from the smallest number to the largest, and a fine grid where functions curve.
fn arguments() -> Vec<f32> {
    let sizes = (0..0x7F80_0000_u32).step_by(9973).map(f32::from_bits);
    let grid = (0..400_000).map(|i| i as f32 * 3e-4 + 1e-5);
    sizes.chain(grid).flat_map(|x| [x, -x]).collect()
}

/// `erf` in 64-bit floats: a power series, and a continued fraction for its complement in the tail.
fn erf_complement(x: f64) -> f64 {
    let square = x * x;
    if x < 2.5 {
        let (mut sum, mut term, mut k) = (x, x, 0.0);
        while f64::abs(term) > 1e-20 {
            k += 1.0;
            term *= -square / k;
            sum += term / (2.0 * k + 1.0);
        }
        1.0 - sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let fraction = (1..200)
            .rev()
            .fold(x, |fraction, k| x + f64::from(k) / 2.0 / fraction);
        (-square).exp() / fraction / std::f64::consts::PI.sqrt()
    }
}

fn oracle(which: Which, x: f64) -> f64 {
    match which {
        Which::Exp => x.exp(),
        Which::Difference if x < -87.33 => 0.0,
        Which::Difference => x.exp(),
        Which::Sigmoid => match x < 0.0 {
            true => x.exp() / (1.0 + x.exp()),
            false => 1.0 / (1.0 + (-x).exp()),
        },
        Which::Tanh => x.tanh(),
        Which::Erf if x.abs() < 1e-3 => {
            std::f64::consts::FRAC_2_SQRT_PI * (x - x.powi(3) / 3.0 + x.powi(5) / 10.0)
        }
        Which::Erf => (1.0 - erf_complement(x.abs())).copysign(x),
        Which::Normal => {
            if x < -13.2 {
                return 0.0;
            }
            let tail = 0.5 * erf_complement(x.abs() / std::f64::consts::SQRT_2);
            if x < 0.0 { tail } else { 1.0 - tail }
        }
    }
}

/// The distance in units in the last place of a 32-bit float; a unit is at least the smallest subnormal number.
fn units(found: f32, expected: f64) -> f64 {
    let rounded = expected as f32;
    if found == rounded {
        return 0.0;
    }
    let exponent = expected
        .abs()
        .max(f64::from(f32::MIN_POSITIVE))
        .log2()
        .floor() as i32;
    (f64::from(found) - expected).abs() / 2f64.powi(exponent - 23)
}

#[track_caller]
fn check(which: Which, limit: f64) {
    let arguments = arguments();
    for arch in paths() {
        let found = run(arch, which, &arguments);
        let mut worst = (0.0, 0.0, 0.0);
        for (x, y) in arguments.iter().zip(found) {
            match which {
                Which::Difference if *x > 88.0 => continue,
                // Here results become zero.
                Which::Normal if (-13.25..-13.15).contains(x) => continue,
                _ => {}
            }
            let units = units(y, oracle(which, f64::from(*x)));
            if units > worst.0 || units.is_nan() {
                worst = (units, *x, y);
            }
        }
        assert!(
            worst.0 <= limit,
            "{which:?} at {} is {}, off by {} units",
            worst.1,
            worst.2,
            worst.0
        );
    }
}

#[test]
fn the_exponential_is_right_to_a_unit_and_a_half() {
    check(Which::Exp, 1.5);
}

#[test]
fn the_exponential_of_a_difference_is_right_to_a_unit_and_a_half() {
    check(Which::Difference, 1.5);
}

#[test]
fn the_logistic_function_is_right_to_three_units() {
    check(Which::Sigmoid, 3.0);
}

#[test]
fn the_hyperbolic_tangent_is_right_to_three_units() {
    check(Which::Tanh, 3.0);
}

#[test]
fn the_error_function_is_right_to_three_units() {
    check(Which::Erf, 3.0);
}

/// The rounding of x² alone changes `e^(-x²/2)` by x²/4 units: 50 at the end of the range.
#[test]
fn the_normal_distribution_function_keeps_its_digits_in_the_tail() {
    check(Which::Normal, 110.0);
}

#[test]
fn infinite_arguments_and_what_is_not_a_number_keep_their_meaning() {
    let arguments = [f32::INFINITY, f32::NEG_INFINITY, 0.0, 200.0, -200.0];
    for arch in paths() {
        let results = |which| run(arch, which, &arguments);
        assert_eq!(
            results(Which::Exp),
            [f32::INFINITY, 0.0, 1.0, f32::INFINITY, 0.0]
        );
        assert_eq!(
            run(arch, Which::Difference, &[f32::NEG_INFINITY, 0.0]),
            [0.0, 1.0]
        );
        assert_eq!(results(Which::Sigmoid), [1.0, 0.0, 0.5, 1.0, 0.0]);
        assert_eq!(results(Which::Tanh), [1.0, -1.0, 0.0, 1.0, -1.0]);
        assert_eq!(results(Which::Erf), [1.0, -1.0, 0.0, 1.0, -1.0]);
        assert_eq!(results(Which::Normal), [1.0, 0.0, 0.5, 1.0, 0.0]);
        for which in [
            Which::Exp,
            Which::Difference,
            Which::Sigmoid,
            Which::Tanh,
            Which::Erf,
            Which::Normal,
        ] {
            assert!(run(arch, which, &[f32::NAN])[0].is_nan(), "{which:?}");
        }
    }
}

#[test]
fn the_smallest_and_the_largest_powers_are_finite_and_not_zero() {
    for arch in paths() {
        let found = run(arch, Which::Exp, &[-103.9, 88.722, 88.73]);
        assert_eq!(found[0], f32::from_bits(1));
        assert!(found[1] > 3.39e38 && found[1].is_finite(), "{found:?}");
        assert_eq!(found[2], f32::INFINITY);
    }
}
