//! Ranges of converters from the currents that data cause.

use super::CurrentRange;
use crate::HardwareError;

/// Bits of a current that a bucket of the histogram keeps: sign, exponent and nine bits of the mantissa, so that a bucket
/// is no wider than 0.2 % of its current.
const KEPT: u32 = 18;

/// Currents before conversion, per slice of the weight: their extremes, and a histogram that percentiles come from.
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
    buckets: Vec<u64>,
}

impl CurrentProfile {
    /// No currents yet, for a weight of `slices` slices.
    pub fn new(slices: usize) -> Self {
        let empty = SliceProfile {
            least: f32::INFINITY,
            largest: f32::NEG_INFINITY,
            count: 0,
            buckets: vec![0; 1 << KEPT],
        };
        Self {
            slices: vec![empty; slices],
        }
    }

    /// Currents of `slice`; those that are not finite are left out.
    pub(super) fn add(&mut self, slice: usize, currents: impl Iterator<Item = f32>) {
        let slice = &mut self.slices[slice];
        for current in currents.filter(|current| current.is_finite()) {
            slice.least = slice.least.min(current);
            slice.largest = slice.largest.max(current);
            slice.count += 1;
            slice.buckets[bucket(current)] += 1;
        }
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

    /// The current that `percentile` percent of those of `slice` do not exceed, to 0.2 %; `None` before there are any.
    pub fn percentile(&self, slice: usize, percentile: f64) -> Option<f32> {
        self.edges(slice, percentile).map(|range| range.hi)
    }

    /// The ends of the bucket that a percentile lies in.
    fn edges(&self, slice: usize, percentile: f64) -> Option<CurrentRange> {
        let slice = self.slices.get(slice).filter(|slice| slice.count > 0)?;
        let rank = (percentile / 100.0 * slice.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = slice.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        let (lo, hi) = found.map_or((slice.largest, slice.largest), edges);
        Some(CurrentRange {
            lo: lo.clamp(slice.least, slice.largest),
            hi: hi.clamp(slice.least, slice.largest),
        })
    }

    /// Ranges that clip what lies above `percentile`, and below its mirror image.
    ///
    /// Currents of both signs get a range around zero, others one from their least to their largest. The widths of all
    /// slices differ by powers of two, the smallest that hold them, so that a digital shift brings codes together.
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
        let widest = if widest > 0.0 { widest } else { 1.0 };
        for range in &mut ranges {
            let mut width = widest;
            // Thirty halvings: a slice that never conducts does not need a range of zero width.
            for _ in 0..30 {
                if 0.5 * width < range.hi - range.lo {
                    break;
                }
                width *= 0.5;
            }
            let middle = 0.5 * (range.lo + range.hi);
            *range = CurrentRange {
                lo: middle - 0.5 * width,
                hi: middle + 0.5 * width,
            };
        }
        Ok(ranges)
    }
}

/// Buckets in the order of their currents.
fn bucket(current: f32) -> usize {
    let bits = current.to_bits();
    // The usual map of floats to ordered integers: negative ones are turned around.
    let ordered = match bits >> 31 {
        0 => bits | (1 << 31),
        _ => !bits,
    };
    (ordered >> (32 - KEPT)) as usize
}

/// The least and the largest current of a bucket.
fn edges(bucket: usize) -> (f32, f32) {
    let current = |ordered: u32| {
        f32::from_bits(match ordered >> 31 {
            1 => ordered & !(1 << 31),
            _ => !ordered,
        })
    };
    let first = (bucket as u32) << (32 - KEPT);
    (current(first), current(first | ((1 << (32 - KEPT)) - 1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

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
