//! Ranges of converters from the currents that data cause.

use super::CurrentRange;
use super::adc_range::LEAST_WIDTH;
use crate::HardwareError;

/// Bits of a current that a bucket of the histogram keeps: sign, exponent and nine bits of the mantissa, so that a bucket
/// is no wider than 0.2 % of its current.
const KEPT: u32 = 18;
/// Mantissas of a bucket.
const MANTISSAS: u32 = 1 << (KEPT - 9);
/// Powers of two below the largest magnitude that have buckets of their own. Smaller values share one bucket for each sign,
/// because they lie within 0.1 % of the largest magnitude.
const OCTAVES: u32 = 10;
/// Buckets of a slice at most: those of both signs, the shared ones, and zero.
const MOST: usize = 2 * (OCTAVES * MANTISSAS) as usize + 3;

/// Currents before conversion, per slice of the weight: their extremes, and a histogram that percentiles come from.
///
/// A slice takes 12 bytes for each bucket that currents have met, 120 KiB at most: an array with few different currents,
/// such as that of a depthwise convolution, takes next to nothing.
///
/// Profiles of several batches are one profile: pass the same one to
/// [`ProgrammedMatrix::profile`](super::ProgrammedMatrix::profile) again.
#[derive(Clone, Debug)]
pub struct CurrentProfile {
    slices: Vec<SliceProfile>,
}

#[derive(Clone, Debug)]
struct SliceProfile {
    least: f32,
    largest: f32,
    count: u64,
    /// Rising, as currents do; [`ZERO`] and its neighbours stand for what is not told apart.
    buckets: Vec<u32>,
    /// Currents of each bucket.
    counts: Vec<u64>,
}

impl CurrentProfile {
    /// No currents yet, for a weight of `slices` slices.
    pub fn new(slices: usize) -> Self {
        let empty = SliceProfile {
            least: f32::INFINITY,
            largest: f32::NEG_INFINITY,
            count: 0,
            buckets: Vec::new(),
            counts: Vec::new(),
        };
        Self {
            slices: vec![empty; slices],
        }
    }

    /// Currents of `slice`; those that are not finite are left out.
    pub(super) fn add(&mut self, slice: usize, currents: impl Iterator<Item = f32>) {
        let currents: Vec<f32> = currents.filter(|current| current.is_finite()).collect();
        self.slices[slice].add(&currents);
    }

    /// Slices of the weight.
    pub fn slices(&self) -> usize {
        self.slices.len()
    }

    /// Number of currents, the least and the largest of a slice; `None` before there are any.
    pub fn extremes(&self, slice: usize) -> Option<(u64, CurrentRange)> {
        let slice = self.slices.get(slice).filter(|slice| slice.count > 0)?;
        let (lo, hi) = (slice.least, slice.largest);
        Some((slice.count, CurrentRange { lo, hi }))
    }

    /// The current that `percentile` percent of those of `slice` do not exceed, to 0.2 % of it or to 0.1 % of the largest
    /// magnitude; `None` before there are any.
    pub fn percentile(&self, slice: usize, percentile: f64) -> Option<f32> {
        self.edges(slice, percentile).map(|range| range.hi)
    }

    /// The ends of the bucket that a percentile lies in.
    fn edges(&self, slice: usize, percentile: f64) -> Option<CurrentRange> {
        let slice = self.slices.get(slice).filter(|slice| slice.count > 0)?;
        let rank = (percentile / 100.0 * slice.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = slice.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        let (lo, hi) = found.map_or((slice.largest, slice.largest), |at| {
            slice.edges(slice.buckets[at])
        });
        Some(CurrentRange {
            lo: lo.clamp(slice.least, slice.largest),
            hi: hi.clamp(slice.least, slice.largest),
        })
    }

    /// Ranges that clip what lies above `percentile`, and below its mirror image.
    ///
    /// Currents of both signs get a range around zero, others one from their least to their largest. The widths of all
    /// slices differ by powers of two, the smallest that hold them, so that a digital shift brings codes together; a range
    /// of one sign that this would widen past zero starts there, so that zero is a code.
    ///
    /// # Source
    /// Xiao et al., IEEE Circuits and Systems Magazine 2022 (calibrated ranges, restricted to powers of two).
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] without currents; [`HardwareError::Limit`] for a percentile outside (50, 100].
    pub fn ranges(&self, percentile: f64) -> Result<Vec<CurrentRange>, HardwareError> {
        super::AdcRange::Calibrated { percentile }.check()?;
        let range = |slice: usize| -> Option<CurrentRange> {
            let lo = self.edges(slice, 100.0 - percentile)?.lo;
            let hi = self.edges(slice, percentile)?.hi;
            let most = lo.abs().max(hi.abs());
            Some(match self.slices[slice].least < 0.0 {
                true => CurrentRange {
                    lo: -most,
                    hi: most,
                },
                false => CurrentRange { lo, hi },
            })
        };
        let ranges: Option<Vec<CurrentRange>> = (0..self.slices.len()).map(range).collect();
        let Some(mut ranges) = ranges else {
            return Err(HardwareError::conflict(
                "adc range = calibrated without currents",
                "profile the layer on at least one input that is finite",
            ));
        };
        let widest = ranges.iter().map(|r| r.hi - r.lo).fold(0.0, f32::max);
        // A layer whose currents are all the same has no width of its own: any range around them tells them apart.
        let widest = match widest >= LEAST_WIDTH * HALVINGS.exp2() {
            true => widest,
            false => 1.0,
        };
        for range in &mut ranges {
            let mut width = widest;
            for _ in 0..HALVINGS as u32 {
                if 0.5 * width < range.hi - range.lo {
                    break;
                }
                width *= 0.5;
            }
            let middle = 0.5 * (range.lo + range.hi);
            let (lo, hi) = (middle - 0.5 * width, middle + 0.5 * width);
            *range = match range.lo >= 0.0 && lo < 0.0 {
                true => CurrentRange { lo: 0.0, hi: width },
                false => CurrentRange { lo, hi },
            };
        }
        Ok(ranges)
    }
}

/// How often a range is halved at most: a slice that never conducts does not need a range of zero width.
const HALVINGS: f32 = 30.0;

/// The bucket of zero. Its neighbours hold values that are too small for a bucket of their own.
const ZERO: u32 = 1 << (KEPT - 1);

impl SliceProfile {
    fn add(&mut self, currents: &[f32]) {
        let Some((least, largest)) = extremes(currents) else {
            return;
        };
        let told_apart = self.told_apart();
        self.least = self.least.min(least);
        self.largest = self.largest.max(largest);
        self.count += currents.len() as u64;
        let first = self.told_apart();
        if first > told_apart {
            self.share(first);
        }
        // Places: from the last negative octave down to the shared bucket, zero, and up again.
        let half = OCTAVES * MANTISSAS + 1;
        let mut fresh = vec![0u64; MOST];
        for current in currents {
            let magnitude = current.to_bits() << 1 >> (33 - KEPT);
            let place = match (*current == 0.0, magnitude.checked_sub(first)) {
                (true, _) => 0,
                (false, None) => 1,
                (false, Some(own)) => own + 2,
            };
            let place = match *current < 0.0 {
                true => half - place,
                false => half + place,
            };
            fresh[place as usize] += 1;
        }
        let bucket = |place: usize| {
            let distance = (place as u32).abs_diff(half);
            let magnitude = match distance {
                0 | 1 => distance,
                own => first + own - 2,
            };
            // Magnitudes of one are shared ones; those told apart are larger.
            match (place as u32) < half {
                true => ZERO - magnitude,
                false => ZERO + magnitude,
            }
        };
        let met = fresh.iter().enumerate().filter(|(_, count)| **count > 0);
        self.merge(met.map(|(place, count)| (bucket(place), *count)));
    }

    /// The first magnitude that has a bucket of its own, from 2 on.
    fn told_apart(&self) -> u32 {
        if self.count == 0 {
            return 0;
        }
        let most = self.largest.abs().max(self.least.abs());
        let octave = most.to_bits() >> 23;
        ((octave + 1).saturating_sub(OCTAVES) * MANTISSAS).max(2)
    }

    /// Moves what is below magnitude `first` to the shared buckets.
    fn share(&mut self, first: u32) {
        let met = self.buckets.drain(..).zip(self.counts.drain(..));
        let met: Vec<(u32, u64)> = met.collect();
        let shared = |bucket: u32| match (bucket.abs_diff(ZERO), bucket < ZERO) {
            (0, _) => ZERO,
            (magnitude, true) if magnitude < first => ZERO - 1,
            (magnitude, false) if magnitude < first => ZERO + 1,
            _ => bucket,
        };
        for (bucket, count) in met {
            self.push(shared(bucket), count);
        }
    }

    /// Adds counts of rising buckets.
    fn merge(&mut self, fresh: impl Iterator<Item = (u32, u64)>) {
        let old = std::mem::take(&mut self.buckets);
        let old = old.into_iter().zip(std::mem::take(&mut self.counts));
        let (mut old, mut fresh) = (old.peekable(), fresh.peekable());
        loop {
            let next = match (old.peek(), fresh.peek()) {
                (Some(a), Some(b)) if a.0 <= b.0 => old.next(),
                (_, Some(_)) => fresh.next(),
                (_, None) => old.next(),
            };
            match next {
                Some((bucket, count)) => self.push(bucket, count),
                None => break,
            }
        }
        self.buckets.shrink_to_fit();
        self.counts.shrink_to_fit();
    }

    fn push(&mut self, bucket: u32, count: u64) {
        match (self.buckets.last(), self.counts.last_mut()) {
            (Some(last), Some(held)) if *last == bucket => *held += count,
            _ => {
                self.buckets.push(bucket);
                self.counts.push(count);
            }
        }
    }

    /// The least and the largest current of a bucket.
    fn edges(&self, bucket: u32) -> (f32, f32) {
        let current = |magnitude: u32| f32::from_bits(magnitude << (32 - KEPT));
        let (lo, hi) = match bucket.abs_diff(ZERO) {
            0 => (0.0, 0.0),
            1 => (0.0, current(self.told_apart())),
            own => (current(own), f32::from_bits(((own + 1) << (32 - KEPT)) - 1)),
        };
        match bucket < ZERO {
            true => (-hi, -lo),
            false => (lo, hi),
        }
    }
}

/// The least and the largest; `None` of nothing.
fn extremes(currents: &[f32]) -> Option<(f32, f32)> {
    let first = *currents.first()?;
    let wider = |(least, largest): (f32, f32), x: &f32| (least.min(*x), largest.max(*x));
    Some(currents.iter().fold((first, first), wider))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_currents() {
        let mut profile = CurrentProfile::new(1);
        let mut currents: Vec<f32> = (0..10_000)
            .map(|i| ((i * 7919 % 10_007) as f32 - 3000.0) / 500.0)
            .collect();
        profile.add(0, currents[..4000].iter().copied());
        profile.add(0, currents[4000..].iter().copied());
        currents.sort_by(f32::total_cmp);
        for percentile in [0.1, 1.0, 50.0, 99.0, 99.9, 100.0] {
            let exact = currents[((percentile / 100.0 * 1e4f64).ceil() as usize).max(1) - 1];
            let found = profile.percentile(0, percentile).unwrap();
            // A bucket is 2^-9 wide.
            assert!(
                (found - exact).abs() <= exact.abs() / 511.0,
                "{percentile}: {found} {exact}"
            );
        }
        let (count, extremes) = profile.extremes(0).unwrap();
        assert_eq!(
            (count, extremes.lo, extremes.hi),
            (10_000, currents[0], currents[9999])
        );
    }

    #[test]
    fn widths_differ_by_powers_of_two_and_hold_their_currents() {
        let mut profile = CurrentProfile::new(4);
        for (slice, largest) in [8.0f32, 3.0, 0.9, 0.0].into_iter().enumerate() {
            profile.add(slice, [-0.5 * largest, 0.0, largest].into_iter());
        }
        let ranges = profile.ranges(100.0).unwrap();
        assert_eq!((ranges[0].lo, ranges[0].hi), (-8.0, 8.0));
        assert_eq!((ranges[1].lo, ranges[1].hi), (-4.0, 4.0));
        assert_eq!((ranges[2].lo, ranges[2].hi), (-1.0, 1.0));
        assert!(ranges[3].lo < ranges[3].hi);
        let mut profile = CurrentProfile::new(1);
        profile.add(0, [2.0, 3.0].into_iter());
        let range = profile.ranges(100.0).unwrap()[0];
        assert_eq!((range.lo, range.hi), (2.0, 3.0));
    }

    proptest! {
        /// Whatever the currents, in whatever order, a profile stays small and its percentiles are those of the currents.
        #[test]
        fn a_profile_is_small_and_right(
            exponents in prop::collection::vec((-120i32..40, any::<bool>()), 1..40), seed: u32, zeros in 0usize..200,
        ) {
            let mut profile = CurrentProfile::new(1);
            let mut all = vec![0.0f32; zeros];
            profile.add(0, all.iter().copied());
            for (batch, (exponent, negative)) in exponents.into_iter().enumerate() {
                let unit = (exponent as f32).exp2();
                let currents: Vec<f32> = (0..1500u32)
                    .map(|i| {
                        let mixed = (i ^ seed ^ ((batch as u32) << 20)).wrapping_mul(2_654_435_761) >> 8;
                        let current = unit * (1.0 + mixed as f32 / (1 << 20) as f32);
                        if negative { -current } else { current }
                    })
                    .collect();
                profile.add(0, currents.iter().copied());
                all.extend(currents);
            }
            let held = &profile.slices[0];
            let bytes = 4 * held.buckets.capacity() + 8 * held.counts.capacity();
            prop_assert!(bytes <= 120 << 10, "{bytes}");
            prop_assert_eq!(held.counts.iter().sum::<u64>(), all.len() as u64);
            all.sort_by(f32::total_cmp);
            let most = all[0].abs().max(all[all.len() - 1].abs());
            for percentile in [0.0, 1.0, 30.0, 50.0, 77.0, 99.9, 100.0] {
                let rank = (percentile / 100.0 * all.len() as f64).ceil().max(1.0) as usize;
                let exact = all[rank - 1];
                let found = profile.percentile(0, percentile).unwrap();
                // A bucket of its own is 2^-9 wide; shared ones reach to 2^-9 of the largest's power of two.
                let bound = (exact.abs() / 511.0).max(most / 512.0);
                prop_assert!((found - exact).abs() <= bound, "{percentile}: {found} {exact}");
                if exact.abs() > most / 256.0 {
                    prop_assert!((found - exact).abs() <= exact.abs() / 511.0);
                }
            }
        }
    }

    #[test]
    fn few_different_currents_take_next_to_nothing() {
        let mut profile = CurrentProfile::new(1);
        for _ in 0..50 {
            profile.add(0, (0..3000).map(|i| (i % 55) as f32 / 3.0 - 9.0));
        }
        assert!(profile.slices[0].buckets.capacity() <= 55);
        assert_eq!(profile.extremes(0).unwrap().0, 150_000);
    }

    #[test]
    fn a_range_of_one_sign_starts_at_zero_where_it_would_pass_it() {
        let mut profile = CurrentProfile::new(2);
        profile.add(0, [0.0, 8.0].into_iter());
        profile.add(1, [0.0, 3.0].into_iter());
        let ranges = profile.ranges(100.0).unwrap();
        assert_eq!((ranges[0].lo, ranges[0].hi), (0.0, 8.0));
        assert_eq!((ranges[1].lo, ranges[1].hi), (0.0, 4.0));
        let mut profile = CurrentProfile::new(1);
        profile.add(0, [1e-35f32, 2e-35].into_iter());
        let range = profile.ranges(100.0).unwrap()[0];
        assert!(range.check().is_ok());
    }

    #[test]
    fn no_currents_give_no_ranges() {
        let mut profile = CurrentProfile::new(1);
        profile.add(0, [f32::NAN].into_iter());
        assert_eq!(profile.percentile(0, 50.0), None);
        assert_eq!(
            profile.ranges(99.0).unwrap_err().to_string(),
            "adc range = calibrated without currents: profile the layer on at least one input that is finite"
        );
        profile.add(0, [1.0].into_iter());
        assert!(profile.ranges(50.0).is_err());
        assert!(profile.ranges(100.0).is_ok());
    }
}
