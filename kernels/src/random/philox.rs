//! The counter-based generator that makes every random number in the project.
//!
//! # Cost
//! Twenty 32-bit multiplications for 16 bytes: bound by arithmetic, not by memory. Each word stays in the low half of a 64-bit lane, where vectors
//! multiply it without shuffles. The compiler then handles as many blocks at a time as a register holds. Writing out groups of eight blocks by hand
//! was half as fast. Normal numbers need the quantile function too, which costs four times as much as the draw (see `normal.rs`).
//!
//! Draws are made, turned into normal numbers and rounded in batches that stay in the first-level cache. Large fills are cut into pieces of fixed
//! size for the threads of the current pool; the number of threads does not change a bit.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::normal::{Quantiles, small_integer};

/// Philox4x32-10: a bijection of a 128-bit counter under a 64-bit key. Draw `i` can be computed without the draws before it.
///
/// ```text
/// counter words   0, 1: block index (low, high)      2, 3: stream (low, high)
/// key words       0, 1: key (low, high)
/// draw i          word i mod 4 of block i / 4
/// uniform         (word + 1/2) / 2^32, in the open interval (0, 1)
/// normal          Φ⁻¹(uniform), see [`Philox::fill_normal`]
/// ```
///
/// # Source
/// Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3.
///
/// ```
/// use crossburn_kernels::Philox;
///
/// let generator = Philox::new(7, 0);
/// assert_eq!(generator.uniform(5), generator.uniform(5));
/// assert!((0.0..1.0).contains(&generator.uniform(6)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Philox {
    key: u64,
    stream: u64,
}

/// Multipliers of the round function and increments of the key (Weyl constants), table 2 of the source.
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Draws that are turned into normal numbers at a time.
const BATCH: usize = 256;
/// Draws of one task, which a thread makes in about 50 µs. Like [`BATCH`], a multiple of a block.
const PIECE: usize = 1 << 14;

impl Philox {
    /// The generator of `stream` under `key`.
    pub const fn new(key: u64, stream: u64) -> Self {
        Self { key, stream }
    }

    /// Block `index` of the stream: four words.
    pub fn block(&self, index: u64) -> [u32; 4] {
        self.words(index).map(|word| word as u32)
    }

    /// Block `index`, with each word in the low half of 64 bits, as vector multiplications need it.
    #[inline(always)]
    fn words(&self, index: u64) -> [u64; 4] {
        const LOW: u64 = u32::MAX as u64;
        let mut c = [
            index & LOW,
            index >> 32,
            self.stream & LOW,
            self.stream >> 32,
        ];
        let mut k = [self.key as u32, (self.key >> 32) as u32];
        for _ in 0..ROUNDS {
            let a = MULTIPLIERS[0] * (c[0] & LOW);
            let b = MULTIPLIERS[1] * (c[2] & LOW);
            c = [
                (b >> 32) ^ c[1] ^ u64::from(k[0]),
                b & LOW,
                (a >> 32) ^ c[3] ^ u64::from(k[1]),
                a & LOW,
            ];
            k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
        }
        c
    }

    /// Draw `index` of the stream: 32 bits.
    pub fn word(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// Draw `index` as a uniform number in the open interval (0, 1), a multiple of 2^-33.
    pub fn uniform(&self, index: u64) -> f64 {
        unit(self.word(index).into())
    }

    /// Fills `out` with the draws 0, 1, … as uniform numbers in the open interval (0, 1).
    pub fn fill_uniform(&self, out: &mut [f64]) {
        self.fill_uniform_from(0, out);
    }

    /// Fills `out` with the uniform draws `4 * block`, `4 * block + 1`, …
    pub fn fill_uniform_from(&self, block: u64, out: &mut [f64]) {
        let arch = Arch::new();
        in_pieces(out, |first, out| {
            self.fill_uniform_on(arch, block.wrapping_add(first), out);
        });
    }

    fn fill_uniform_on(&self, arch: Arch, block: u64, out: &mut [f64]) {
        let generator = *self;
        arch.dispatch(Uniforms {
            generator,
            block,
            out,
        });
    }

    /// Draw `index` as an integer below `n` (0 if `n` is 0), by Lemire's multiplication. The bias is below n / 2^32.
    pub fn below(&self, index: u64, n: u32) -> u32 {
        ((u64::from(self.word(index)) * u64::from(n)) >> 32) as u32
    }

    /// Fills `out` with the draws 0, 1, … as standard normals.
    ///
    /// The method is the inverse of the normal distribution function (Wichura 1988, algorithm AS 241, PPND16, relative error about 1e-16): additions,
    /// multiplications, one division, and a logarithm and a root in the tails, in an order that no compiler or processor changes. The largest
    /// magnitude is Φ⁻¹(1 − 2^-33) = 6.34.
    pub fn fill_normal(&self, out: &mut [f32]) {
        self.fill_normal_from(0, out);
    }

    /// Fills `out` with the normal draws `4 * block`, `4 * block + 1`, …
    pub fn fill_normal_from(&self, block: u64, out: &mut [f32]) {
        let arch = Arch::new();
        in_pieces(out, |first, out| {
            self.fill_normal_on(arch, block.wrapping_add(first), out);
        });
    }

    fn fill_normal_on(&self, arch: Arch, block: u64, out: &mut [f32]) {
        let generator = *self;
        arch.dispatch(Normals {
            generator,
            block,
            out,
        });
    }

    /// A permutation of `0..n` (Fisher and Yates, from the end), for n up to 2^32.
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for last in (1..n).rev() {
            order.swap(last, self.below(last as u64, last as u32 + 1) as usize);
        }
        order
    }
}

/// Fills `out` with uniform draws from a block on.
struct Uniforms<'a> {
    generator: Philox,
    block: u64,
    out: &'a mut [f64],
}

impl WithSimd for Uniforms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            generator,
            block,
            out,
        } = self;
        let (quads, rest) = out.as_chunks_mut::<4>();
        for (index, quad) in quads.iter_mut().enumerate() {
            *quad = generator.words(block.wrapping_add(index as u64)).map(unit);
        }
        let last = generator.words(block.wrapping_add(quads.len() as u64));
        for (value, word) in rest.iter_mut().zip(last) {
            *value = unit(word);
        }
    }
}

/// Fills `out` with normal draws from a block on.
struct Normals<'a> {
    generator: Philox,
    block: u64,
    out: &'a mut [f32],
}

impl WithSimd for Normals<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut draws = [0.0; BATCH];
        for (batch, out) in self.out.chunks_mut(BATCH).enumerate() {
            let draws = &mut draws[..out.len()];
            let uniforms = Uniforms {
                generator: self.generator,
                block: self.block.wrapping_add((batch * BATCH / 4) as u64),
                out: draws,
            };
            uniforms.with_simd(simd);
            Quantiles(draws).with_simd(simd);
            for (value, z) in out.iter_mut().zip(draws) {
                *value = *z as f32;
            }
        }
    }
}

/// `(word + 1/2) / 2^32`.
#[inline(always)]
fn unit(word: u64) -> f64 {
    (small_integer(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// Calls `fill` with pieces of `out` and the first block of each, on the threads of the current pool.
fn in_pieces<T: Send>(out: &mut [T], fill: impl Fn(u64, &mut [T]) + Sync) {
    if out.len() <= PIECE {
        return fill(0, out);
    }
    out.par_chunks_mut(PIECE)
        .enumerate()
        .for_each(|(piece, out)| fill((piece * PIECE / 4) as u64, out));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal_quantiles;
    use crate::testing::{paths, pool};
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    #[test]
    fn blocks_are_those_of_the_publication() {
        // The known-answer vectors of Random123: counter and key, then the block.
        let zero = Philox::new(0, 0);
        assert_eq!(
            zero.block(0),
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
        );
        let ones = Philox::new(u64::MAX, u64::MAX);
        assert_eq!(
            ones.block(u64::MAX),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        let pi = Philox::new(0x299f31d0_a4093822, 0x03707344_13198a2e);
        assert_eq!(
            pi.block(0x85a308d3_243f6a88),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn normals_have_the_moments_and_the_distribution_of_normals() {
        let n = 1_000_000;
        let mut draws = vec![0.0f32; n];
        Philox::new(11, 3).fill_normal(&mut draws);
        let nf = n as f64;
        let moment = |k: i32| draws.iter().map(|z| f64::from(*z).powi(k)).sum::<f64>() / nf;
        // The variances of z, z², z³ and z⁴ are 1, 2, 15 and 96. The bounds are four standard errors.
        for (k, expected, variance) in [
            (1, 0.0, 1.0f64),
            (2, 1.0, 2.0),
            (3, 0.0, 15.0),
            (4, 3.0, 96.0),
        ] {
            assert!(
                (moment(k) - expected).abs() < 4.0 * (variance / nf).sqrt(),
                "moment {k}: {}",
                moment(k)
            );
        }
        // Kolmogorov and Smirnov: the largest distance is below 1.95 / sqrt n with probability 0.999.
        draws.sort_by(f32::total_cmp);
        let normal = Normal::standard();
        let distance = draws
            .iter()
            .enumerate()
            .map(|(i, z)| (normal.cdf(f64::from(*z)) - (i as f64 + 0.5) / nf).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / nf.sqrt(), "{distance}");
    }

    #[test]
    fn filled_draws_are_the_single_draws() {
        let generator = Philox::new(5, 6);
        for length in [0, 1, 3, 4, 255, 256, 257, 1001] {
            let mut uniforms = vec![0.0; length];
            generator.fill_uniform(&mut uniforms);
            assert!(
                (0..length).all(|i| uniforms[i] == generator.uniform(i as u64)),
                "{length}"
            );
            let mut normals = vec![0.0; length];
            generator.fill_normal(&mut normals);
            normal_quantiles(&mut uniforms);
            assert!(
                (0..length).all(|i| normals[i] == uniforms[i] as f32),
                "{length}"
            );
        }
    }

    #[test]
    fn every_instruction_set_and_number_of_threads_gives_the_same_bits() {
        let generator = Philox::new(0x1234_5678_9abc_def0, u64::MAX - 1);
        let length = 3 * PIECE + 1021;
        let (mut uniforms, mut normals) = (vec![0.0; length], vec![0.0f32; length]);
        generator.fill_uniform(&mut uniforms);
        generator.fill_normal(&mut normals);
        let same = |u: &[f64], n: &[f32]| {
            let alike = u
                .iter()
                .zip(&uniforms)
                .all(|(a, b)| a.to_bits() == b.to_bits());
            alike
                && n.iter()
                    .zip(&normals)
                    .all(|(a, b)| a.to_bits() == b.to_bits())
        };
        for arch in paths() {
            let (mut u, mut n) = (vec![0.0; length], vec![0.0f32; length]);
            generator.fill_uniform_on(arch, 0, &mut u);
            generator.fill_normal_on(arch, 0, &mut n);
            assert!(same(&u, &n), "{arch:?}");
        }
        for threads in [1, 2] {
            let (mut u, mut n) = (vec![0.0; length], vec![0.0f32; length]);
            pool(threads).install(|| {
                generator.fill_uniform(&mut u);
                generator.fill_normal(&mut n);
            });
            assert!(same(&u, &n), "{threads} threads");
        }
    }

    #[test]
    fn a_fill_may_start_at_any_block_and_wraps_at_the_last() {
        let generator = Philox::new(2, 3);
        let start = u64::MAX - 20;
        let mut found = vec![0.0; 4 * 60 + 3];
        generator.fill_uniform_from(start, &mut found);
        for (index, found) in found.into_iter().enumerate() {
            let word = generator.block(start.wrapping_add(index as u64 / 4))[index % 4];
            assert_eq!(found, (f64::from(word) + 0.5) / 2f64.powi(32));
        }
        // Normal draws are the quantiles of these uniform draws.
        let mut uniforms = vec![0.0; 4 * 60 + 3];
        let mut normals = vec![0.0f32; 4 * 60 + 3];
        generator.fill_uniform_from(start, &mut uniforms);
        generator.fill_normal_from(start, &mut normals);
        normal_quantiles(&mut uniforms);
        assert!(
            normals
                .iter()
                .zip(&uniforms)
                .all(|(normal, quantile)| *normal == *quantile as f32)
        );
    }

    #[test]
    fn draws_are_the_same_forever() {
        // Computed by the plain code that these kernels replaced. If these numbers change, every published chip changes.
        let generator = Philox::new(11, 3);
        let words: [u32; 6] = std::array::from_fn(|i| generator.word(i as u64 * 1_000_003));
        assert_eq!(
            words,
            [
                2407625856, 1667950150, 947954787, 2433159118, 1322349397, 2630732600
            ]
        );
        let mut normals = vec![0.0f32; 100_003];
        generator.fill_normal(&mut normals);
        assert_eq!(
            normals[..6],
            [
                0.15241219, -2.3157387, -1.0669048, 2.2691176, 0.9356586, -1.866305
            ]
        );
        let hash = normals.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, z| {
            (hash ^ u64::from(z.to_bits())).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(hash, 0x45b2_f900_a543_17a7, "{hash:#018x}");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Philox::new(1, 1).permutation(1000);
        assert!(order.iter().enumerate().any(|(i, o)| i != *o));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
        assert!(Philox::new(1, 1).permutation(0).is_empty());
    }

    proptest! {
        #[test]
        fn draws_are_in_range(key: u64, stream: u64, index: u64, n in 1u32..) {
            let generator = Philox::new(key, stream);
            let uniform = generator.uniform(index);
            prop_assert!(uniform > 0.0 && uniform < 1.0);
            prop_assert!(generator.below(index, n) < n);
        }
    }
}
