//! How well a detector does, from a confusion matrix.

/// Segments by what they are and what they were taken for; ventricular arrhythmia is positive.
///
/// Where a rate has no denominator, the rules of the contest's scorer hold: without positives the sensitivity and the positive
/// predictive value are 1; with positives of which none is found the positive predictive value is 0. The same with
/// negatives for the specificity and the negative predictive value.
///
/// ```
/// use crossburn_training::Counts;
///
/// let counts = Counts { true_positives: 8, false_negatives: 2, false_positives: 4, true_negatives: 6 };
/// assert_eq!((counts.sensitivity(), counts.specificity()), (0.8, 0.6));
/// // (1 + 4) · 2/3 · 0.8 / (4 · 2/3 + 0.8) = 0.769.
/// assert!((counts.f_beta(2.0) - 10.0 / 13.0).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Arrhythmias that were found.
    pub true_positives: u64,
    /// Arrhythmias that were missed.
    pub false_negatives: u64,
    /// Other segments that were taken for arrhythmias.
    pub false_positives: u64,
    /// Other segments that were left alone.
    pub true_negatives: u64,
}

impl Counts {
    /// Adds one segment.
    pub fn add(&mut self, positive: bool, taken_for_positive: bool) {
        let count = match (positive, taken_for_positive) {
            (true, true) => &mut self.true_positives,
            (true, false) => &mut self.false_negatives,
            (false, true) => &mut self.false_positives,
            (false, false) => &mut self.true_negatives,
        };
        *count += 1;
    }

    fn positives(&self) -> u64 {
        self.true_positives + self.false_negatives
    }

    fn negatives(&self) -> u64 {
        self.false_positives + self.true_negatives
    }

    /// Number of segments.
    pub fn segments(&self) -> u64 {
        self.positives() + self.negatives()
    }

    /// The share of positives that were found.
    pub fn sensitivity(&self) -> f64 {
        recall(self.true_positives, self.positives())
    }

    /// The share of negatives that were left alone.
    pub fn specificity(&self) -> f64 {
        recall(self.true_negatives, self.negatives())
    }

    /// The share of alarms that were right.
    pub fn positive_predictive_value(&self) -> f64 {
        let alarms = self.true_positives + self.false_positives;
        precision(self.true_positives, alarms, self.positives())
    }

    /// The share of negative decisions that were right.
    pub fn negative_predictive_value(&self) -> f64 {
        let passed = self.true_negatives + self.false_negatives;
        precision(self.true_negatives, passed, self.negatives())
    }

    /// The share of segments that were decided right; 1 of none.
    pub fn accuracy(&self) -> f64 {
        recall(self.true_positives + self.true_negatives, self.segments())
    }

    /// The mean of sensitivity and specificity.
    pub fn balanced_accuracy(&self) -> f64 {
        (self.sensitivity() + self.specificity()) / 2.0
    }

    /// The weighted harmonic mean of positive predictive value and sensitivity, in which sensitivity counts `beta` times as much as
    /// predictive value; 0 where both are 0.
    pub fn f_beta(&self, beta: f64) -> f64 {
        let (precision, recall) = (self.positive_predictive_value(), self.sensitivity());
        let weight = beta * beta;
        match weight * precision + recall {
            0.0 => 0.0,
            sum => (1.0 + weight) * precision * recall / sum,
        }
    }
}

/// `right` of `all`; 1 of none.
fn recall(right: u64, all: u64) -> f64 {
    match all {
        0 => 1.0,
        all => right as f64 / all as f64,
    }
}

/// `right` of `said`; where nothing is of the kind, 1, and where something is and nothing was said to be, 0.
fn precision(right: u64, said: u64, of_the_kind: u64) -> f64 {
    match (said, of_the_kind) {
        (_, 0) => 1.0,
        (0, _) => 0.0,
        (said, _) => right as f64 / said as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: [u64; 4]) -> Counts {
        let [
            true_positives,
            false_negatives,
            false_positives,
            true_negatives,
        ] = values;
        Counts {
            true_positives,
            false_negatives,
            false_positives,
            true_negatives,
        }
    }

    #[test]
    fn rates_are_those_worked_by_hand() {
        // Found, missed, false alarms, left alone; then sensitivity, specificity, PPV, NPV, accuracy, F2.
        for (values, expected) in [
            // F2 = 5 · 9/13 · 0.9 / (4 · 9/13 + 0.9) = 45/53.
            (
                [9, 1, 4, 6],
                [0.9, 0.6, 9.0 / 13.0, 6.0 / 7.0, 0.75, 45.0 / 53.0],
            ),
            ([5, 0, 0, 5], [1.0; 6]),
            ([0, 5, 5, 0], [0.0; 6]),
            // No positives: sensitivity and PPV are 1, also with false alarms.
            ([0, 0, 2, 8], [1.0, 0.8, 1.0, 1.0, 0.8, 1.0]),
            // Positives of which none is found, and nothing is taken for one.
            ([0, 4, 0, 6], [0.0, 1.0, 0.0, 0.6, 0.6, 0.0]),
            // No negatives, and the other way round.
            ([8, 2, 0, 0], [0.8, 1.0, 1.0, 1.0, 0.8, 0.8 * 5.0 / 4.8]),
            ([4, 0, 6, 0], [1.0, 0.0, 0.4, 0.0, 0.4, 5.0 * 0.4 / 2.6]),
            ([0, 0, 0, 0], [1.0; 6]),
        ] {
            let found = counts(values);
            let found = [
                found.sensitivity(),
                found.specificity(),
                found.positive_predictive_value(),
                found.negative_predictive_value(),
                found.accuracy(),
                found.f_beta(2.0),
            ];
            for (index, (a, b)) in found.iter().zip(expected).enumerate() {
                assert!((a - b).abs() < 1e-12, "{values:?} {index} {a} {b}");
            }
        }
        assert_eq!(counts([9, 1, 4, 6]).balanced_accuracy(), 0.75);
    }

    #[test]
    fn segments_are_counted_where_they_belong() {
        let mut found = Counts::default();
        for (positive, taken) in [
            (true, true),
            (true, false),
            (false, true),
            (false, false),
            (true, true),
        ] {
            found.add(positive, taken);
        }
        assert_eq!(found, counts([2, 1, 1, 1]));
        assert_eq!(found.segments(), 5);
    }
}
