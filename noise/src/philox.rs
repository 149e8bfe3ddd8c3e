//! The counter-based generator behind every random number of the project.

use crate::normal::{BATCH, normal_quantiles};

/// Philox4x32-10: a bijection of a 128-bit counter under a 64-bit key, so draw `i` can be had without the draws before.
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
/// use crossburn_noise::Philox;
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
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

impl Philox {
    /// The generator of `stream` under `key`.
    pub const fn new(key: u64, stream: u64) -> Self {
        Self { key, stream }
    }

    /// Four words: the block `index` of the stream.
    #[inline]
    pub fn block(&self, index: u64) -> [u32; 4] {
        let mut c = [
            index as u32,
            (index >> 32) as u32,
            self.stream as u32,
            (self.stream >> 32) as u32,
        ];
        let mut k = [self.key as u32, (self.key >> 32) as u32];
        for _ in 0..ROUNDS {
            let a = u64::from(MULTIPLIERS[0]) * u64::from(c[0]);
            let b = u64::from(MULTIPLIERS[1]) * u64::from(c[2]);
            c = [
                (b >> 32) as u32 ^ c[1] ^ k[0],
                b as u32,
                (a >> 32) as u32 ^ c[3] ^ k[1],
                a as u32,
            ];
            k = [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])];
        }
        c
    }

    /// Draw `index` of the stream, 32 bits.
    pub fn word(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// Draw `index` as a uniform number in the open interval (0, 1), a multiple of 2^-33.
    pub fn uniform(&self, index: u64) -> f64 {
        unit(self.word(index))
    }

    /// Fills `out` with the draws 0, 1, … as uniform numbers in the open interval (0, 1).
    pub fn fill_uniform(&self, out: &mut [f64]) {
        self.fill_uniform_from(0, out);
    }

    /// Fills `out` with the uniform draws `4 * block`, `4 * block + 1`, …
    pub(crate) fn fill_uniform_from(&self, block: u64, out: &mut [f64]) {
        let mut quads = out.chunks_exact_mut(4);
        let mut index = block;
        for quad in &mut quads {
            quad.copy_from_slice(&self.block(index).map(unit));
            index = index.wrapping_add(1);
        }
        let rest = quads.into_remainder();
        if !rest.is_empty() {
            rest.iter_mut()
                .zip(self.block(index))
                .for_each(|(value, word)| *value = unit(word));
        }
    }

    /// Draw `index` as an integer below `n` (0 where `n` is 0), by Lemire's multiplication: biased by less than n / 2^32.
    pub fn below(&self, index: u64, n: u32) -> u32 {
        ((u64::from(self.word(index)) * u64::from(n)) >> 32) as u32
    }

    /// Fills `out` with the draws 0, 1, … as standard normals.
    ///
    /// By the inverse of the normal distribution function (Wichura 1988, algorithm AS 241, PPND16, relative error
    /// about 1e-16): additions, multiplications, one division, and a logarithm and root in the tails, in an order that
    /// no compiler or processor changes. The largest magnitude is Φ⁻¹(1 − 2^-33) = 6.34.
    pub fn fill_normal(&self, out: &mut [f32]) {
        let mut draws = [0.0; BATCH];
        for (batch, chunk) in out.chunks_mut(BATCH).enumerate() {
            let draws = &mut draws[..chunk.len()];
            self.fill_uniform_from((batch * BATCH / 4) as u64, draws);
            normal_quantiles(draws);
            chunk
                .iter_mut()
                .zip(draws)
                .for_each(|(value, z)| *value = *z as f32);
        }
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

/// `(word + 1/2) / 2^32`.
#[inline]
pub(crate) fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// A 64-bit hash of a name, to key streams by parameter path or purpose: FNV-1a, then the finalizer of SplitMix64.
pub fn path_hash(path: &str) -> u64 {
    let fnv = path.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{ContinuousCDF, Normal};

    #[test]
    fn blocks_are_those_of_the_publication() {
        // The known-answer vectors that come with Random123: counter and key, then the block.
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
        // Variances of z, z², z³, z⁴ are 1, 2, 15, 96: bounds are four standard errors.
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
        // Kolmogorov and Smirnov: the maximal distance stays below 1.95 / sqrt n with probability 0.999.
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
