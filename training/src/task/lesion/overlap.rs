//! How well what was found and what is there overlap, and the threshold at which they do best.

/// Voxels that were found, that are lesion, and that are both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub(crate) found: u64,
    pub(crate) lesion: u64,
    pub(crate) both: u64,
}

impl Overlap {
    /// Adds a voxel.
    pub(crate) fn add(&mut self, found: bool, lesion: bool) {
        self.found += u64::from(found);
        self.lesion += u64::from(lesion);
        self.both += u64::from(found && lesion);
    }

    /// Adds those of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        self.found += other.found;
        self.lesion += other.lesion;
        self.both += other.both;
    }

    /// Twice what is both over the sum of found and lesion; `None` where nothing was found and nothing is there.
    pub(crate) fn dice(&self) -> Option<f64> {
        let sum = self.found + self.lesion;
        (sum > 0).then(|| 2.0 * self.both as f64 / sum as f64)
    }
}

/// Halvings of the range of scores that a threshold is looked for in.
const STEPS: usize = 10;

/// The threshold that maximises the Dice coefficient of all voxels together, as far as halving finds it, and that coefficient: of the range
/// from 0 to the largest score, the coefficients at a quarter and at three quarters are compared, and the better half is kept, the lower one
/// where both are alike, ten times. The threshold is the middle of what is left.
///
/// `judged` are the scores of voxels, from 0 on, with whether they are lesion. `None` without a lesion.
///
/// # Source
/// Public code of Pan et al., arXiv 2408.08228.
pub(crate) fn best_threshold(judged: &[(f64, bool)]) -> Option<(f64, f64)> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut lesions = vec![0u64];
    lesions.extend(sorted.iter().scan(0u64, |sum, (_, lesion)| {
        *sum += u64::from(*lesion);
        Some(*sum)
    }));
    let lesion = lesions.last().copied().filter(|lesion| *lesion > 0)?;
    let dice = |threshold: f64| {
        let found = sorted.partition_point(|(score, _)| *score > threshold);
        let overlap = Overlap {
            found: found as u64,
            lesion,
            both: lesions[found],
        };
        overlap.dice().unwrap_or_default()
    };
    let (mut low, mut high) = (0.0, sorted.first()?.0);
    for _ in 0..STEPS {
        let quarter = 0.25 * (high - low);
        let middle = low + 2.0 * quarter;
        match dice(low + quarter) >= dice(high - quarter) {
            true => high = middle,
            false => low = middle,
        }
    }
    let threshold = 0.5 * (low + high);
    Some((threshold, dice(threshold)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn overlaps_are_those_worked_by_hand() {
        let mut overlap = Overlap::default();
        assert_eq!(overlap.dice(), None);
        for (found, lesion) in [(true, true), (true, false), (false, true), (false, false)] {
            overlap.add(found, lesion);
        }
        // One of two found and of two that are there.
        assert_eq!(overlap.dice(), Some(0.5));
        overlap.merge(Overlap {
            found: 0,
            lesion: 4,
            both: 0,
        });
        assert_eq!(overlap.dice(), Some(2.0 / 8.0));
    }

    #[test]
    fn the_threshold_is_where_ten_halvings_end() {
        // Lesions above 3, the rest below 1: the first comparison, at 1 and 3, is even and keeps 0 to 2. Then 0.5 (two of five found rightly)
        // loses against 1.5; from there on all are alike, and the lower half is kept: 1 + 2^-9 of the second range of 1, and its middle.
        let judged = [
            (4.0, true),
            (3.5, true),
            (0.9, false),
            (0.8, false),
            (0.7, false),
        ];
        let (threshold, dice) = best_threshold(&judged).unwrap();
        assert_eq!(dice, 1.0);
        assert_eq!(threshold, 1.0 + 0.5_f64.powi(9));
        // Found at any threshold: the smallest that is left, 4 / 2^11.
        let all = [(4.0, true), (4.0, true)];
        assert_eq!(best_threshold(&all), Some((4.0 / 2048.0, 1.0)));
        assert_eq!(best_threshold(&[(1.0, false)]), None);
        assert_eq!(best_threshold(&[]), None);
    }
}
