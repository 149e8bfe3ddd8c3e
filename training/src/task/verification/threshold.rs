//! From which score on two images count as of one person.

use super::scores::{Compared, group_accuracies};

/// The threshold with the largest mean accuracy of the groups that have mated and other pairs, each of which counts alike; of several the middle
/// between two scores that comes first. `None` where no group has both kinds.
///
/// ```
/// use crossburn_training::{Compared, best_threshold};
///
/// let pair = |people, score| Compared { group: 0, people, score };
/// let pairs = [pair([0, 0], 0.9), pair([1, 1], 0.5), pair([0, 1], 0.25)];
/// assert_eq!(best_threshold(&pairs), Some(0.375));
/// ```
pub fn best_threshold(compared: &[Compared]) -> Option<f64> {
    let groups = compared.iter().map(|pair| pair.group + 1).max()?;
    let mut counts = vec![[0usize; 2]; groups];
    for pair in compared {
        counts[pair.group][usize::from(pair.is_mated())] += 1;
    }
    let whole = |counts: &[usize; 2]| counts.iter().all(|count| *count > 0);
    if !counts.iter().any(whole) {
        return None;
    }
    let mut order: Vec<&Compared> = compared
        .iter()
        .filter(|pair| whole(&counts[pair.group]))
        .collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score));
    // From the threshold below all scores up: what each pair that falls below it adds.
    let gain = |pair: &Compared| {
        let [others, mated] = counts[pair.group];
        match pair.is_mated() {
            true => -1.0 / mated as f64,
            false => 1.0 / others as f64,
        }
    };
    let lowest = order.first()?.score;
    let (mut best, mut found, mut now) = (0.0, lowest, 0.0);
    for (place, pair) in order.iter().enumerate() {
        now += gain(pair);
        let next = order.get(place + 1).map(|next| next.score);
        let threshold = match next {
            Some(next) if next == pair.score => continue,
            Some(next) => (pair.score + next) / 2.0,
            None => pair.score.next_up(),
        };
        // Sums in another order are no gain.
        if now > best + 1e-12 {
            (best, found) = (now, threshold);
        }
    }
    Some(found)
}

/// The mean accuracy of all pairs over `folds`, each decided by the best threshold of the others; `None` where these have none. Pairs are
/// dealt to the folds in turn, mated ones and others apart; groups do not count.
///
/// # Source
/// Huang et al., "Labeled faces in the wild", 2007: the protocol with ten folds.
pub fn accuracy_by_folds(compared: &[Compared], folds: usize) -> Option<f64> {
    let (mut turns, mut sum) = ([0usize; 2], 0.0);
    let fold: Vec<usize> = compared
        .iter()
        .map(|pair| {
            let turn = &mut turns[usize::from(pair.is_mated())];
            *turn += 1;
            (*turn - 1) % folds.max(1)
        })
        .collect();
    for number in 0..folds {
        let part = |own: bool| -> Vec<Compared> {
            let pairs = compared.iter().zip(&fold);
            let pairs = pairs.filter(|(_, fold)| (**fold == number) == own);
            pairs
                .map(|(pair, _)| Compared { group: 0, ..*pair })
                .collect()
        };
        let own = part(true);
        let threshold = best_threshold(&part(false))?;
        let weights = vec![1.0; own.len()];
        sum += group_accuracies(&own, &weights, threshold, 1).pop()??;
    }
    (folds > 0).then(|| sum / folds as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::scores::{Bias, tests::pairs};
    use super::*;

    #[test]
    fn a_small_group_counts_as_much_as_a_large_one() {
        // Group 0 alone is best between 0.6 and 0.7. Group 1 has one pair of each kind, with both below that: moved to 0.15 it gains half its
        // accuracy, and group 0 loses two of its four others, a quarter.
        let mut rows = vec![(1, true, 0.2), (1, false, 0.1)];
        rows.extend([0.7, 0.8, 0.9, 0.95].map(|score| (0, true, score)));
        rows.extend([0.05, 0.12, 0.5, 0.6].map(|score| (0, false, score)));
        let compared = pairs(&rows);
        let threshold = best_threshold(&compared).unwrap();
        assert!((threshold - 0.16).abs() < 1e-12, "{threshold}");
        let alone = best_threshold(&compared[2..]).unwrap();
        assert!((alone - 0.65).abs() < 1e-12, "{alone}");
    }

    #[test]
    fn no_other_threshold_is_better() {
        let draws = crossburn_noise::Philox::new(5, 0);
        let rows: Vec<_> = (0..120)
            .map(|place: u64| {
                let mated = draws.uniform(3 * place) < 0.4;
                let score = draws.uniform(3 * place + 1) + 0.3 * f64::from(mated);
                // Ties as well.
                (
                    draws.below(3 * place + 2, 3) as usize,
                    mated,
                    (score * 20.0).round() / 20.0,
                )
            })
            .collect();
        let compared = pairs(&rows);
        let value = |threshold: f64| {
            let found = group_accuracies(&compared, &[1.0; 120], threshold, 3);
            let found: Vec<f64> = found.into_iter().flatten().collect();
            Bias::of(&found).unwrap().avg
        };
        let best = value(best_threshold(&compared).unwrap());
        for step in 0..=140 {
            assert!(value(f64::from(step) / 100.0) <= best + 1e-12, "{step}");
        }
    }

    #[test]
    fn ends_and_empty_lists_have_their_thresholds() {
        assert_eq!(best_threshold(&[]), None);
        assert_eq!(best_threshold(&pairs(&[(0, true, 0.5)])), None);
        // Everything is better accepted, or refused: mated pairs are at both ends.
        let turned = pairs(&[(0, true, 0.1), (0, false, 0.9)]);
        let threshold = best_threshold(&turned).unwrap();
        assert_eq!(threshold, 0.1);
        let perfect = pairs(&[(0, false, 0.5), (0, true, 0.75)]);
        assert_eq!(best_threshold(&perfect), Some(0.625));
    }

    #[test]
    fn ten_folds_judge_every_pair_by_the_others() {
        let mut rows: Vec<(usize, bool, f64)> = Vec::new();
        for place in 0..20 {
            rows.push((place % 2, true, 0.6 + 0.01 * place as f64));
            rows.push((place % 2, false, 0.4 - 0.01 * place as f64));
        }
        assert_eq!(accuracy_by_folds(&pairs(&rows), 10), Some(1.0));
        // One mated pair is below all: it alone is decided wrong, one of four pairs of its fold.
        rows[0].2 = -1.0;
        let found = accuracy_by_folds(&pairs(&rows), 10).unwrap();
        assert!((found - (9.0 + 0.75) / 10.0).abs() < 1e-12, "{found}");
        assert_eq!(accuracy_by_folds(&pairs(&rows[..2]), 10), None);
    }
}
