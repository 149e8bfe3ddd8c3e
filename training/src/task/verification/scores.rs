//! What decisions about pairs are worth, group by group.

/// A compared pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// The number of the group that both are of.
    pub group: usize,
    /// The numbers of the two people: one number twice of a mated pair.
    pub people: [u32; 2],
    /// How alike the two images are.
    pub score: f64,
}

impl Compared {
    /// Whether both images are of one person.
    pub fn is_mated(&self) -> bool {
        self.people[0] == self.people[1]
    }
}

/// The accuracy of every group by the decision `score ≥ threshold`, as the mean of the shares of mated and of other pairs that are decided right;
/// `None` of a group without both. Where both are equally many this is `(TP + TN) / pairs`. `weights` says how often each pair counts.
///
/// ```
/// use crossburn_training::{Compared, group_accuracies};
///
/// let pair = |people, score| Compared { group: 0, people, score };
/// let pairs = [pair([0, 0], 0.9), pair([1, 1], 0.4), pair([0, 1], 0.3), pair([1, 0], 0.1)];
/// assert_eq!(group_accuracies(&pairs, &[1.0; 4], 0.5, 1), [Some(0.75)]);
/// ```
pub fn group_accuracies(
    compared: &[Compared],
    weights: &[f64],
    threshold: f64,
    groups: usize,
) -> Vec<Option<f64>> {
    // Of each group and kind: what is right, and all.
    let mut counts = vec![[[0.0f64; 2]; 2]; groups];
    for (pair, weight) in compared.iter().zip(weights) {
        let Some(of_group) = counts.get_mut(pair.group) else {
            continue;
        };
        let mated = pair.is_mated();
        let [right, all] = &mut of_group[usize::from(mated)];
        *all += weight;
        if (pair.score >= threshold) == mated {
            *right += weight;
        }
    }
    let accuracy = |[others, mated]: &[[f64; 2]; 2]| {
        let known = others[1] > 0.0 && mated[1] > 0.0;
        known.then(|| (others[0] / others[1] + mated[0] / mated[1]) / 2.0)
    };
    counts.iter().map(accuracy).collect()
}

/// What the accuracies of groups say together.
///
/// # Source
/// Melzi et al., "FRCSyn challenge at WACV 2024" (arXiv 2311.10476): AVG, SD and the trade-off TO = AVG - SD. The paper does not say which standard
/// deviation it takes; TO is of the one over all groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bias {
    /// The mean accuracy of groups.
    pub avg: f64,
    /// The standard deviation of the groups, as all that there are.
    pub sd: f64,
    /// The standard deviation of the groups, as a sample of more: larger by √(n / (n - 1)). 0 of one group.
    pub sample_sd: f64,
    /// The least accuracy.
    pub worst: f64,
}

impl Bias {
    /// Of the accuracies of groups; `None` of no group.
    ///
    /// ```
    /// use crossburn_training::Bias;
    ///
    /// let bias = Bias::of(&[0.9, 0.8, 1.0, 0.9]).unwrap();
    /// assert!((bias.avg - 0.9).abs() < 1e-12 && (bias.sd - 0.005f64.sqrt()).abs() < 1e-12);
    /// assert!((bias.to() - (0.9 - 0.005f64.sqrt())).abs() < 1e-12);
    /// ```
    pub fn of(accuracies: &[f64]) -> Option<Self> {
        let worst = accuracies.iter().copied().reduce(f64::min)?;
        let count = accuracies.len() as f64;
        let avg = accuracies.iter().sum::<f64>() / count;
        let squares: f64 = accuracies.iter().map(|a| (a - avg).powi(2)).sum();
        Some(Self {
            avg,
            sd: (squares / count).sqrt(),
            sample_sd: (squares / (count - 1.0).max(1.0)).sqrt(),
            worst,
        })
    }

    /// The trade-off accuracy.
    pub fn to(&self) -> f64 {
        trade_off(self.avg, self.sd)
    }
}

/// TO = AVG - SD.
pub fn trade_off(avg: f64, sd: f64) -> f64 {
    avg - sd
}

/// By how many per cent a system lags after the real-only baseline of the same team, by the metric that ranks it:
/// `100 (real - system) / system`. Negative where the system is better.
///
/// # Source
/// Melzi et al., arXiv 2311.10476; the formula is as we remember it, its sign is that of the published tables.
pub fn gap_to_real(real: f64, system: f64) -> f64 {
    100.0 * (real - system) / system
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn pairs(rows: &[(usize, bool, f64)]) -> Vec<Compared> {
        let pair = |(place, (group, mated, score)): (usize, &(usize, bool, f64))| {
            let person = 2 * place as u32;
            Compared {
                group: *group,
                people: [person, person + u32::from(!*mated)],
                score: *score,
            }
        };
        rows.iter().enumerate().map(pair).collect()
    }

    #[test]
    fn accuracies_are_those_counted_by_hand() {
        let compared = pairs(&[
            (0, true, 0.8),
            (0, true, 0.5), // a score at the threshold is accepted
            (0, false, 0.4),
            (0, false, 0.6), // wrong
            (1, true, 0.1),  // wrong
            (1, false, 0.0),
            (1, false, 0.2),
            (1, false, 0.3),
            (3, true, 0.9),
        ]);
        let found = group_accuracies(&compared, &[1.0; 9], 0.5, 4);
        // Group 2 has no pair, group 3 none of two people.
        assert_eq!(found, [Some(0.75), Some(0.5), None, None]);
        // The wrong pair of group 0 counts three times: right are 1 of 4.
        let mut weights = [1.0; 9];
        weights[3] = 3.0;
        let found = group_accuracies(&compared, &weights, 0.5, 1);
        assert_eq!(found, [Some((0.25 + 1.0) / 2.0)]);
    }

    #[test]
    fn bias_is_that_worked_by_hand() {
        let bias = Bias::of(&[1.0, 0.5]).unwrap();
        assert_eq!((bias.avg, bias.sd, bias.worst), (0.75, 0.25, 0.5));
        assert!((bias.sample_sd - 0.125f64.sqrt()).abs() < 1e-15);
        assert_eq!(bias.to(), 0.5);
        assert!(Bias::of(&[]).is_none());
        assert_eq!(Bias::of(&[0.7]).unwrap().sample_sd, 0.0);
        // The least possible TO is in the range of the metric.
        for ones in 0..=8 {
            let accuracies: Vec<f64> = (0..8).map(|group| f64::from(group < ones)).collect();
            let to = Bias::of(&accuracies).unwrap().to();
            assert!(to >= -0.21, "{to}");
        }
    }

    /// TO, AVG, SD of sub-tasks 1.1 and 1.2.
    const PUBLISHED: [(&str, f64, f64, f64); 11] = [
        ("1.1 LENS", 92.25, 93.54, 1.28),
        ("1.1 Idiap", 91.88, 93.41, 1.53),
        ("1.1 BOVIFOCR", 90.51, 92.35, 1.84),
        ("1.1 MeVer", 87.51, 89.62, 2.11),
        ("1.1 Aphi", 82.24, 86.01, 3.77),
        ("1.2 CBSR", 95.25, 96.45, 1.20),
        ("1.2 LENS", 95.24, 96.35, 1.11),
        ("1.2 MeVer", 93.87, 95.44, 1.56),
        ("1.2 BOVIFOCR", 93.15, 95.04, 1.89),
        ("1.2 UNICA-IGD", 91.03, 94.06, 3.03),
        ("1.2 Idiap", 87.22, 91.54, 4.32),
    ];

    #[test]
    fn the_published_trade_offs_follow_from_their_rows() {
        for (team, to, avg, sd) in PUBLISHED {
            // Each number is rounded to 0.01 by itself.
            let found = trade_off(avg, sd);
            assert!((found - to).abs() <= 0.02 + 1e-9, "{team}: {found} {to}");
        }
        // A worse baseline than the system is a negative lag: CBSR of 1.2 has -2.10 %.
        let baseline = 95.25 * (1.0 - 0.0210);
        assert!((gap_to_real(baseline, 95.25) + 2.10).abs() < 1e-9);
    }
}
