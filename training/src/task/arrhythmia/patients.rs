//! A detector on each patient: patients differ more than segments do.

use super::{BETA, Counts};

/// How a detector does on single patients.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Patients {
    /// The patients by name, with their own counts.
    counts: Vec<(String, Counts)>,
}

impl Patients {
    /// The counts of all patients that have segments.
    pub(super) fn new(counts: impl IntoIterator<Item = (String, Counts)>) -> Self {
        let counts = counts
            .into_iter()
            .filter(|(_, counts)| counts.segments() > 0);
        Self {
            counts: counts.collect(),
        }
    }

    /// Number of patients.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// F2 of each.
    fn scores(&self) -> impl Iterator<Item = f64> {
        self.counts.iter().map(|(_, counts)| counts.f_beta(BETA))
    }

    /// The mean of their F2; 0 of none.
    pub(super) fn mean_f2(&self) -> f64 {
        self.scores().sum::<f64>() / self.len().max(1) as f64
    }

    /// The share of patients whose F2 is above `threshold`: G of the contest of 2023.
    pub(super) fn share_above(&self, threshold: f64) -> f64 {
        let above = self.scores().filter(|score| *score > threshold).count();
        above as f64 / self.len().max(1) as f64
    }

    /// The name and the F2 of the first patient with the least.
    pub(super) fn worst(&self) -> Option<(&str, f64)> {
        let names = self.counts.iter().map(|(name, _)| name.as_str());
        names.zip(self.scores()).min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_count_alike_however_many_segments_they_have() {
        let counts = |found, missed| Counts {
            true_positives: found,
            false_negatives: missed,
            false_positives: 0,
            true_negatives: 10,
        };
        // F2 = 5 s / (4 + s) of a sensitivity s: 1, 2.5 / 4.5, 0.
        let patients = Patients::new([
            ("a".to_string(), counts(100, 0)),
            ("b".to_string(), counts(1, 1)),
            ("c".to_string(), counts(0, 3)),
            ("none".to_string(), Counts::default()),
        ]);
        assert_eq!(patients.len(), 3);
        assert!((patients.mean_f2() - (1.0 + 5.0 / 9.0) / 3.0).abs() < 1e-12);
        assert_eq!(patients.share_above(0.5), 2.0 / 3.0);
        assert_eq!(patients.share_above(1.0), 0.0);
        assert_eq!(patients.worst(), Some(("c", 0.0)));
        let nobody = Patients::new([]);
        assert!(nobody.len() == 0 && nobody.worst().is_none() && nobody.mean_f2() == 0.0);
    }
}
