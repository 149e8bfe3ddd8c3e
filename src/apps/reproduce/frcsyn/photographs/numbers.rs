//! The numbers over all folds together.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use crossburn_noise::{Better, Bootstrap, Metric, path_hash};
use crossburn_training::{
    Bias, Cleansed, Compared, best_threshold, fnmr_at_fmr, group_accuracies, intervals_over_people,
};

use super::super::numbers::{AVG, FNMR, ORACLE, SD, TO, WORST, column, to_on_chips};
use crate::report::ReproductionColumn;

/// σ of the chips, relative to the largest weight of a layer.
pub(super) const SIGMA: f64 = 0.05;
/// Number of resamplings of people for an interval.
const DRAWS: u64 = 1000;
/// The false match rate at which false non-matches are counted.
const FMR: f64 = 0.01;

const LOWER: &str = "AVG, lower end over people";
const UPPER: &str = "AVG, upper end over people";
const LOWER_TO: &str = "TO, lower end over people";
const UPPER_TO: &str = "TO, upper end over people";
const PAIRS: &str = "pairs";
const IMAGES: &str = "images left out";
const PEOPLE: &str = "people left out";

fn avg_on_chips() -> String {
    format!("AVG, σ = {SIGMA}")
}

/// The columns of the table.
pub(super) fn columns() -> Vec<ReproductionColumn> {
    let higher = [AVG, LOWER, UPPER, TO, LOWER_TO, UPPER_TO, WORST, ORACLE];
    let higher = higher.map(|name| column(name.to_string(), Better::Higher));
    let lower = [SD, FNMR].map(|name| column(name.to_string(), Better::Lower));
    let chips = [avg_on_chips(), to_on_chips(SIGMA)];
    let chips = chips.map(|name| column(name, Better::Higher));
    let counts = [PAIRS, IMAGES, PEOPLE].map(Metric::from_zero);
    let counts = counts.map(ReproductionColumn::of);
    let shares = higher.into_iter().chain(lower).chain(chips);
    shares.chain(counts).collect()
}

/// The pairs of all folds. From each score the threshold of its network is subtracted, so that the decision is at 0.
pub(super) struct Judged {
    pairs: Vec<Compared>,
    /// The same, but the best threshold for the pairs of the fold itself is subtracted.
    by_oracle: Vec<Compared>,
    /// The pairs as scored by each chip.
    on_chips: Vec<Vec<Compared>>,
    left_out: Cleansed,
}

/// The pairs of a fold, with a threshold subtracted. A person is in one fold only, so people of other folds get other numbers.
fn decided(compared: &[Compared], threshold: f64, fold: usize) -> impl Iterator<Item = Compared> {
    let person = move |number: u32| ((fold as u32) << 24) | number;
    compared.iter().map(move |pair| Compared {
        people: pair.people.map(person),
        score: pair.score - threshold,
        ..*pair
    })
}

impl Judged {
    /// Without any fold, for `chips` chips per fold.
    pub(super) fn new(chips: u64) -> Self {
        Self {
            pairs: Vec::new(),
            by_oracle: Vec::new(),
            on_chips: (0..chips).map(|_| Vec::new()).collect(),
            left_out: Cleansed::default(),
        }
    }

    /// Adds the numbers of what cleansing has left out of a fold's training set.
    pub(super) fn left_out(&mut self, found: Cleansed) {
        self.left_out.images += found.images;
        self.left_out.alone += found.alone;
        self.left_out.alike += found.alike;
    }

    /// Adds the pairs of a fold.
    ///
    /// # Errors
    /// If there are only pairs of one kind.
    pub(super) fn add(&mut self, compared: &[Compared], threshold: f64, fold: usize) -> Result<()> {
        let oracle = best_threshold(compared).context("no group has pairs of both kinds")?;
        self.pairs.extend(decided(compared, threshold, fold));
        self.by_oracle.extend(decided(compared, oracle, fold));
        Ok(())
    }

    /// Adds the pairs of a fold as scored by each chip.
    pub(super) fn add_chips(&mut self, scored: &[Vec<Compared>], threshold: f64, fold: usize) {
        for (chip, compared) in self.on_chips.iter_mut().zip(scored) {
            chip.extend(decided(compared, threshold, fold));
        }
    }

    /// The numbers of `groups` groups. Intervals are over people, resampled with `seed`.
    ///
    /// # Errors
    /// If there are only pairs of one kind.
    pub(super) fn numbers(&self, groups: usize, seed: u64) -> Result<BTreeMap<String, f64>> {
        let none = "no group has pairs of both kinds";
        let bias = |pairs: &[Compared], weights: &[f64]| {
            let accuracies = group_accuracies(pairs, weights, 0.0, groups);
            let known: Vec<f64> = accuracies.into_iter().flatten().collect();
            Bias::of(&known)
        };
        let once = |pairs: &[Compared]| vec![1.0; pairs.len()];
        let own = bias(&self.pairs, &once(&self.pairs)).context(none)?;
        let best = bias(&self.by_oracle, &once(&self.by_oracle)).context(none)?;
        let missed = fnmr_at_fmr(&self.pairs, &once(&self.pairs), FMR).context(none)?;
        let bootstrap = Bootstrap {
            samples: DRAWS,
            seed: seed ^ path_hash("intervals of faces"),
            ..Bootstrap::default()
        };
        let drawn = |weights: &[f64]| {
            let drawn = bias(&self.pairs, weights)?;
            Some(vec![drawn.avg, drawn.to()])
        };
        let intervals = intervals_over_people(&self.pairs, &bootstrap, &drawn).context(none)?;
        let mut found = BTreeMap::from([
            (AVG.to_string(), own.avg),
            (TO.to_string(), own.to()),
            (SD.to_string(), own.sd),
            (WORST.to_string(), own.worst),
            (FNMR.to_string(), missed),
            (ORACLE.to_string(), best.avg),
            (PAIRS.to_string(), self.pairs.len() as f64),
            (IMAGES.to_string(), self.left_out.images as f64),
            (PEOPLE.to_string(), self.left_out.people() as f64),
        ]);
        let names = [[LOWER, UPPER], [LOWER_TO, UPPER_TO]];
        for (names, ends) in names.iter().zip(intervals) {
            let named = names.iter().zip(ends);
            found.extend(named.map(|(name, end)| (name.to_string(), end)));
        }
        let chips = self.on_chips.len() as f64;
        let (mut avg, mut to) = (0.0, 0.0);
        for chip in &self.on_chips {
            let of_chip = bias(chip, &once(chip)).context(none)?;
            avg += of_chip.avg / chips;
            to += of_chip.to() / chips;
        }
        found.extend([(avg_on_chips(), avg), (to_on_chips(SIGMA), to)]);
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn pair(group: usize, people: [u32; 2], score: f64) -> Compared {
        Compared {
            group,
            people,
            score,
        }
    }

    #[test]
    fn folds_are_judged_by_their_own_thresholds() {
        // Fold 0 is decided at 0.5, where all its pairs are right. The best threshold of fold 1 is between 0.1 and 0.2; at its threshold of 0.05, the pair of
        // two people of group 1 is accepted.
        let first = [
            pair(0, [0, 0], 0.9),
            pair(0, [0, 1], 0.2),
            pair(1, [2, 2], 0.8),
            pair(1, [2, 3], 0.3),
        ];
        let second = [
            pair(0, [0, 0], 0.2),
            pair(0, [0, 1], 0.0),
            pair(1, [2, 2], 0.3),
            pair(1, [2, 3], 0.1),
        ];
        let mut judged = Judged::new(2);
        for (fold, (pairs, threshold)) in [(&first, 0.5), (&second, 0.05)].into_iter().enumerate() {
            judged.add(pairs, threshold, fold).unwrap();
            let accepted = pairs.iter().map(|pair| Compared {
                score: pair.score + 1.0,
                ..*pair
            });
            // The second chip accepts every pair.
            let chips = [pairs.to_vec(), accepted.collect()];
            judged.add_chips(&chips, threshold, fold);
        }
        judged.left_out(Cleansed {
            images: 3,
            alone: 1,
            alike: 2,
        });
        let found = judged.numbers(2, 7).unwrap();
        // In group 1, one of two pairs of two people is accepted.
        assert_eq!((found[AVG], found[WORST], found[SD]), (0.875, 0.75, 0.125));
        assert_eq!((found[TO], found[ORACLE], found[PAIRS]), (0.75, 1.0, 8.0));
        assert_eq!((found[IMAGES], found[PEOPLE]), (3.0, 3.0));
        assert_eq!(found[&avg_on_chips()], (0.875 + 0.5) / 2.0);
        assert!(found[LOWER] <= 0.875 && found[UPPER] >= 0.875);
        // Eight people, although each fold counts its people from 0.
        let mut people: Vec<u32> = judged.pairs.iter().flat_map(|pair| pair.people).collect();
        people.sort_unstable();
        people.dedup();
        assert_eq!(people.len(), 8);
        // There is a column for every number.
        let columns = columns();
        assert_eq!(columns.len(), found.len());
        assert!(
            columns
                .iter()
                .all(|column| found.contains_key(&column.name))
        );
    }
}
