//! Mean and standard deviation of training samples.

use std::ops::Range;

use rayon::prelude::*;

use super::Normalization;
use super::samples::{Sample, Values};

/// Samples that are summed at a time: the sums of the same samples in the same order on every machine.
const AT_ONCE: usize = 256;

/// What has a mean and a standard deviation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Every channel.
    PerChannel,
    /// Every value of a sample, as the columns of a table.
    PerValue,
}

/// The normalization that gives `values`, samples of `shape`, mean 0 and standard deviation 1.
///
/// The standard deviation is that of the population (divided by the number of values). What is constant has 1 in its place.
pub(super) fn normalization(values: &Values, shape: [usize; 3], scale: Scale) -> Normalization {
    let len = shape.iter().product();
    // Consecutive values of a sample that share a mean.
    let run = match scale {
        Scale::PerChannel => shape[1] * shape[2],
        Scale::PerValue => 1,
    };
    let all = All {
        values,
        count: values.len() / len,
        len,
        run,
    };
    let moments = match values.is_bytes() {
        true => of_bytes(&all),
        false => of_floats(&all),
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

/// All samples, and how many consecutive values of each share a mean.
struct All<'a> {
    values: &'a Values,
    count: usize,
    /// Values of a sample.
    len: usize,
    run: usize,
}

impl All<'_> {
    /// Runs of a sample.
    fn runs(&self) -> usize {
        self.len / self.run
    }

    /// Values of all samples that share a mean.
    fn sharing(&self) -> f64 {
        (self.count * self.run) as f64
    }

    /// The numbers of some samples at a time.
    fn parts(&self) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let count = self.count;
        let part = move |part: usize| part * AT_ONCE..count.min((part + 1) * AT_ONCE);
        (0..count.div_ceil(AT_ONCE)).into_par_iter().map(part)
    }

    fn sample(&self, index: usize) -> Sample<'_> {
        self.values.sample(index, self.len)
    }
}

/// Mean and standard deviation of every run, of bytes as numbers from 0 to 1. Exact before the last division.
fn of_bytes(all: &All<'_>) -> Vec<(f64, f64)> {
    let sums = all
        .parts()
        .map(|samples| {
            let mut sums = vec![(0u64, 0u64); all.runs()];
            for index in samples {
                let Sample::Bytes(sample) = all.sample(index) else {
                    continue;
                };
                for (sums, run) in sums.iter_mut().zip(sample.chunks_exact(all.run)) {
                    // Sums of 32 bits hold 2^16 squares of bytes, and are added by vectors.
                    for few in run.chunks(1 << 16) {
                        let sum: u32 = few.iter().map(|byte| u32::from(*byte)).sum();
                        let squares: u32 = few.iter().map(|b| u32::from(*b) * u32::from(*b)).sum();
                        sums.0 += u64::from(sum);
                        sums.1 += u64::from(squares);
                    }
                }
            }
            sums
        })
        .reduce(
            || vec![(0, 0); all.runs()],
            |mut sums, more| {
                for (sums, more) in sums.iter_mut().zip(more) {
                    *sums = (sums.0 + more.0, sums.1 + more.1);
                }
                sums
            },
        );
    let count = all.sharing();
    sums.into_iter()
        .map(|(sum, squares)| {
            let (mean, square) = (sum as f64 / count, squares as f64 / count);
            let variance = (square - mean * mean).max(0.0);
            // A constant has no variance but for the rounding of its square.
            let std = if variance < 1e-9 {
                0.0
            } else {
                variance.sqrt()
            };
            (mean / 255.0, std / 255.0)
        })
        .collect()
}

/// Mean and standard deviation of every run.
fn of_floats(all: &All<'_>) -> Vec<(f64, f64)> {
    let count = all.sharing();
    let mean: Vec<f64> = sums(all, |_, value| f64::from(value))
        .into_iter()
        .map(|sum| sum / count)
        .collect();
    let firsts = match all.sample(0) {
        Sample::Floats(sample) => sample,
        Sample::Bytes(_) => &[],
    };
    let first = |index: usize| firsts[index * all.run];
    // Exactly 0 for a constant, whatever the mean was rounded to.
    let differs = sums(all, |index, value| {
        f64::from(u8::from(value != first(index)))
    });
    let squares = sums(all, |index, value| (f64::from(value) - mean[index]).powi(2));
    let moments = mean.iter().zip(differs).zip(squares);
    moments
        .enumerate()
        .map(|(index, ((mean, differs), squares))| match differs {
            0.0 => (f64::from(first(index)), 0.0),
            _ => (*mean, (squares / count).sqrt()),
        })
        .collect()
}

/// The sum over all samples of `term` of every run's number and values.
fn sums(all: &All<'_>, term: impl Fn(usize, f32) -> f64 + Sync) -> Vec<f64> {
    let parts: Vec<Vec<f64>> = all
        .parts()
        .map(|samples| {
            let mut sums = vec![0.0; all.runs()];
            for index in samples {
                let Sample::Floats(sample) = all.sample(index) else {
                    continue;
                };
                for (index, run) in sample.chunks_exact(all.run).enumerate() {
                    sums[index] += run.iter().map(|value| term(index, *value)).sum::<f64>();
                }
            }
            sums
        })
        .collect();
    let mut sums = vec![0.0; all.runs()];
    for part in parts {
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, more)| *sum += more);
    }
    sums
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
        // A constant whose mean over 1,000 rows is rounded, and one whose deviation is below the smallest 32-bit float.
        let rows = [0.1f32, 1e-40].repeat(999);
        let values = Values::Floats([rows, vec![0.1, 2e-40]].concat());
        let found = normalization(&values, [1, 1, 2], Scale::PerValue);
        assert_eq!((found.mean[0], &found.std), (0.1, &vec![1.0, 1.0]));
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
