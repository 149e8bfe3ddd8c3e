//! Mean and standard deviation of training samples.

use rayon::prelude::*;

use super::{Normalization, Sample, Values};

/// Samples that are summed at a time. The number is fixed, so that the order of sums is the same on every machine.
const AT_ONCE: usize = 256;
/// Sums that are held at a time, each of [`AT_ONCE`] samples. A set may be larger than memory.
const SUMS_AT_ONCE: usize = 256;

/// Which values share a mean and a standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// All values of a channel.
    PerChannel,
    /// Each value of a sample has its own, as for the columns of a table.
    PerValue,
}

/// The normalization by which `values`, samples of `shape`, have mean 0 and standard deviation 1.
///
/// The standard deviation is that of the population (divided by the number of values). For constant values it is 1.
pub(super) fn normalization(values: &Values, shape: [usize; 3], scale: Scale) -> Normalization {
    let len = shape.iter().product();
    // The number of consecutive values of a sample that share a mean.
    let run = match scale {
        Scale::PerChannel => shape[1] * shape[2],
        Scale::PerValue => 1,
    };
    let all = All {
        values,
        len,
        count: values.len() / len,
    };
    let moments = match values.are_bytes() {
        true => of_bytes(&all, run),
        false => of_floats(&all, run),
    };
    let (mean, std) = moments
        .into_iter()
        .map(|(mean, std)| {
            let std = std as f32;
            (mean as f32, if std.is_normal() { std } else { 1.0 })
        })
        .unzip();
    Normalization { mean, std }
}

/// All samples.
struct All<'a> {
    values: &'a Values,
    /// Number of values of one sample.
    len: usize,
    count: usize,
}

impl All<'_> {
    /// The sums over all samples, for each of `runs` runs of values. `of` sums [`AT_ONCE`] samples, and `add` adds the result to the sums of the
    /// samples before, in order.
    fn sums<T: Copy + Default + Send + Sync>(
        &self,
        runs: usize,
        of: impl Fn(&mut [T], Sample<'_>) + Sync,
        add: impl Fn(&mut T, T),
    ) -> Vec<T> {
        let part = |part: usize| {
            let mut sums = vec![T::default(); runs];
            for sample in part * AT_ONCE..self.count.min((part + 1) * AT_ONCE) {
                of(&mut sums, self.values.sample(sample, self.len));
            }
            sums
        };
        let mut total = vec![T::default(); runs];
        let parts = self.count.div_ceil(AT_ONCE);
        for first in (0..parts).step_by(SUMS_AT_ONCE) {
            let some = (first..parts.min(first + SUMS_AT_ONCE)).into_par_iter();
            for sums in some.map(part).collect::<Vec<_>>() {
                total
                    .iter_mut()
                    .zip(sums)
                    .for_each(|(sum, more)| add(sum, more));
            }
        }
        total
    }
}

/// Mean and standard deviation of each run of bytes, as numbers from 0 to 1. The sums are exact; only the last division rounds.
fn of_bytes(all: &All<'_>, run: usize) -> Vec<(f64, f64)> {
    let of = |sums: &mut [(u64, u64)], sample: Sample<'_>| {
        let Sample::Bytes(sample) = sample else {
            return;
        };
        for (sums, run) in sums.iter_mut().zip(sample.chunks_exact(run)) {
            // A 32-bit sum can hold 2^16 squares of bytes, and vector instructions add it fast.
            for few in run.chunks(1 << 16) {
                let sum: u32 = few.iter().map(|byte| u32::from(*byte)).sum();
                let squares: u32 = few.iter().map(|b| u32::from(*b) * u32::from(*b)).sum();
                sums.0 += u64::from(sum);
                sums.1 += u64::from(squares);
            }
        }
    };
    let sums = all.sums(all.len / run, of, |sums, more| {
        *sums = (sums.0 + more.0, sums.1 + more.1);
    });
    let count = (all.count * run) as f64;
    sums.into_iter()
        .map(|(sum, squares)| {
            let (mean, square) = (sum as f64 / count, squares as f64 / count);
            let variance = (square - mean * mean).max(0.0);
            // The variance of a constant is 0, except for the rounding of its square.
            let std = if variance < 1e-9 {
                0.0
            } else {
                variance.sqrt()
            };
            (mean / 255.0, std / 255.0)
        })
        .collect()
}

/// Mean and standard deviation of each run of floats.
fn of_floats(all: &All<'_>, run: usize) -> Vec<(f64, f64)> {
    let count = (all.count * run) as f64;
    let mean: Vec<f64> = sums(all, run, |_, value| f64::from(value))
        .into_iter()
        .map(|sum| sum / count)
        .collect();
    let first: Vec<f32> = match all.values.sample(0, all.len) {
        Sample::Floats(floats) => floats.iter().step_by(run).copied().collect(),
        Sample::Bytes(_) => Vec::new(),
    };
    // Exactly 0 for a constant, even if its mean was rounded.
    let differs = sums(all, run, |index, value| {
        f64::from(u8::from(value != first[index]))
    });
    let squares = sums(all, run, |index, value| {
        (f64::from(value) - mean[index]).powi(2)
    });
    let moments = mean.iter().zip(differs).zip(squares);
    moments
        .enumerate()
        .map(|(index, ((mean, differs), squares))| match differs {
            0.0 => (f64::from(first[index]), 0.0),
            _ => (*mean, (squares / count).sqrt()),
        })
        .collect()
}

/// The sum of `term` over all samples, for each run. `term` gets the number of the run and a value.
fn sums(all: &All<'_>, run: usize, term: impl Fn(usize, f32) -> f64 + Sync) -> Vec<f64> {
    let of = |sums: &mut [f64], sample: Sample<'_>| {
        let Sample::Floats(sample) = sample else {
            return;
        };
        for (index, run) in sample.chunks_exact(run).enumerate() {
            sums[index] += run.iter().map(|value| term(index, *value)).sum::<f64>();
        }
    };
    all.sums(all.len / run, of, |sum, more| *sum += more)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::Philox;

    #[test]
    fn bytes_have_the_moments_of_their_channels() {
        // Channel 0: 0, 255, 255, 0 with mean 1/2 and deviation 1/2. Channel 1: constant.
        let values = Values::Bytes(vec![0, 255, 9, 9, 255, 0, 9, 9]);
        let found = normalization(&values, [2, 1, 2], Scale::PerChannel);
        assert_eq!(found.mean, [0.5, 9.0 / 255.0]);
        assert_eq!(found.std, [0.5, 1.0]);
    }

    #[test]
    fn many_bytes_have_the_moments_that_single_additions_give() {
        let draws = Philox::new(3, 0);
        let bytes: Vec<u8> = (0..3 * 700 * 40)
            .map(|i| draws.below(i, 256) as u8)
            .collect();
        let found = normalization(&Values::Bytes(bytes.clone()), [3, 8, 5], Scale::PerChannel);
        for channel in 0..3 {
            let of = |i: &usize| i / 40 % 3 == channel;
            let values: Vec<f64> = (0..bytes.len())
                .filter(of)
                .map(|i| f64::from(bytes[i]) / 255.0)
                .collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let std = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            // Rounded to 32 bits.
            assert!((f64::from(found.mean[channel]) - mean).abs() < 1e-7);
            assert!((f64::from(found.std[channel]) - std).abs() < 1e-7);
        }
    }

    #[test]
    fn columns_have_moments_of_their_own_and_constants_divide_by_one() {
        // Columns 1, 3; 0.1, 0.1; -1e6, 1e6.
        let values = Values::Floats(vec![1.0, 0.1, -1e6, 3.0, 0.1, 1e6]);
        let found = normalization(&values, [1, 1, 3], Scale::PerValue);
        assert_eq!(found.mean, [2.0, 0.1, 0.0]);
        assert_eq!(found.std, [1.0, 1.0, 1e6]);
        let together = normalization(&values, [1, 1, 3], Scale::PerChannel);
        assert_eq!((together.mean.len(), together.std.len()), (1, 1));
        // A constant whose mean over 1,000 rows is rounded, and one whose deviation is smaller than any 32-bit float.
        let rows = [0.1f32, 1e-40].repeat(999);
        let values = Values::Floats([rows, vec![0.1, 2e-40]].concat());
        let found = normalization(&values, [1, 1, 2], Scale::PerValue);
        assert_eq!((found.mean[0], &found.std), (0.1, &vec![1.0, 1.0]));
    }

    #[test]
    fn sums_that_are_held_some_at_a_time_are_those_of_all() {
        // More samples than are summed before sums are dropped. Sums of halves are exact: 0, 1/2, 1, 3/2, and so on again.
        let count = 3 * AT_ONCE * SUMS_AT_ONCE / 2;
        let floats = (0..count).map(|i| (i % 4) as f32 / 2.0).collect();
        let found = normalization(&Values::Floats(floats), [1, 1, 1], Scale::PerValue);
        // Mean 3/4, variance (9 + 1 + 1 + 9) / 16 / 4 = 5/16.
        assert_eq!(found.mean, [0.75]);
        assert_eq!(found.std, [(5.0f64 / 16.0).sqrt() as f32]);
        let bytes = (0..count).map(|i| (i % 4) as u8).collect();
        let found = normalization(&Values::Bytes(bytes), [1, 1, 1], Scale::PerValue);
        assert_eq!(found.mean, [(1.5 / 255.0) as f32]);
        assert_eq!(found.std, [(1.25f64.sqrt() / 255.0) as f32]);
    }

    #[test]
    fn moments_do_not_depend_on_the_number_of_threads() {
        let draws = Philox::new(5, 0);
        let floats: Vec<f32> = (0..6 * 2000)
            .map(|i| draws.below(i, 1 << 20) as f32 / 7.0)
            .collect();
        let values = Values::Floats(floats);
        let pool = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        };
        let found = |threads| {
            pool(threads).install(|| normalization(&values, [2, 1, 3], Scale::PerChannel))
        };
        assert_eq!(found(1), found(4));
    }
}
