//! Several segments vote for one diagnosis.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How segments vote.
///
/// The last `size` segments of a sequence vote, every `hop` segments: with a hop of `size` each segment votes once, and a diagnosis
/// takes `size` segments of time. Half of the votes are enough for an arrhythmia, since to miss one is the expensive error.
///
/// # Source
/// Six segments for one diagnosis: Qin et al., ASP-DAC 2025 (arXiv 2410.17395). The rule for a tie is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Segments that vote together, from 1.
    pub size: usize,
    /// Segments from one diagnosis to the next, from 1.
    pub hop: usize,
}

impl Vote {
    /// What `alarms` of the votes of `size` segments decide.
    pub fn decides(&self, alarms: usize) -> bool {
        2 * alarms >= self.size
    }

    /// A vote that has heard nothing.
    pub fn begin(self) -> Voter {
        Voter {
            vote: self,
            heard: VecDeque::new(),
            until: self.size,
        }
    }
}

/// A diagnosis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// Whether it is an arrhythmia.
    pub alarm: bool,
    /// How many of the segments were for that.
    pub alarms: usize,
}

/// A vote between two segments of one sequence.
#[derive(Clone, Debug)]
pub struct Voter {
    vote: Vote,
    heard: VecDeque<bool>,
    /// Segments that the next diagnosis waits for.
    until: usize,
}

impl Voter {
    /// Takes the decision about the next segment; a diagnosis where one is due.
    pub fn hear(&mut self, alarm: bool) -> Option<Diagnosis> {
        self.heard.push_back(alarm);
        if self.heard.len() > self.vote.size {
            self.heard.pop_front();
        }
        self.until -= 1;
        if self.until > 0 {
            return None;
        }
        self.until = self.vote.hop.max(1);
        let alarms = self.heard.iter().filter(|alarm| **alarm).count();
        Some(Diagnosis {
            alarm: self.vote.decides(alarms),
            alarms,
        })
    }

    /// Forgets what it has heard: the sequence is interrupted.
    pub fn interrupt(&mut self) {
        *self = self.vote.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crossburn_noise::Philox;

    const SIX: Vote = Vote { size: 6, hop: 6 };

    /// The diagnoses of one sequence of decisions.
    fn diagnoses(vote: Vote, decisions: impl IntoIterator<Item = bool>) -> Vec<bool> {
        let mut voter = vote.begin();
        let diagnoses = decisions.into_iter().filter_map(|alarm| voter.hear(alarm));
        diagnoses.map(|diagnosis| diagnosis.alarm).collect()
    }

    #[test]
    fn a_tie_is_an_arrhythmia_and_the_rest_of_a_sequence_has_no_vote() {
        let some = |alarms: usize| (0..6).map(move |index| index < alarms);
        for alarms in 0..=6 {
            assert_eq!(diagnoses(SIX, some(alarms)), [alarms >= 3], "{alarms}");
        }
        assert!(diagnoses(SIX, [true; 5]).is_empty());
        assert_eq!(
            diagnoses(SIX, some(1).chain(some(6)).chain(some(2).take(5))),
            [false, true]
        );
        // Windows of three that move by one: 110, 100, 001, 011.
        let moving = Vote { size: 3, hop: 1 };
        let decisions = [true, true, false, false, true, true];
        assert_eq!(diagnoses(moving, decisions), [true, false, false, true]);
        // By two: segments 0 to 2, and 2 to 4.
        assert_eq!(
            diagnoses(Vote { size: 3, hop: 2 }, decisions),
            [true, false]
        );
        // One segment decides alone.
        assert_eq!(diagnoses(Vote { size: 1, hop: 1 }, decisions), decisions);
    }

    #[test]
    fn an_interruption_forgets() {
        let mut voter = SIX.begin();
        assert!((0..5).all(|_| voter.hear(true).is_none()));
        voter.interrupt();
        assert!((0..5).all(|_| voter.hear(false).is_none()));
        let expected = Diagnosis {
            alarm: false,
            alarms: 1,
        };
        assert_eq!(voter.hear(true), Some(expected));
    }

    #[test]
    fn independent_votes_have_the_derived_accuracies() {
        // Of six segments that are right with probability p, at least four are.
        let strict = |p: f64| -> f64 {
            let choose = [1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0];
            (4..=6)
                .map(|k| choose[k] * p.powi(k as i32) * (1.0 - p).powi(6 - k as i32))
                .sum()
        };
        let tie = |p: f64| strict(p) + 20.0 * (p * (1.0 - p)).powi(3);
        for (p, expected) in [
            (0.90, 0.98415),
            (0.92, 0.99149),
            (0.95, 0.99777),
            (0.97, 0.99950),
            (0.98, 0.99985),
        ] {
            assert!((strict(p) - expected).abs() < 5e-6, "{p} {}", strict(p));
        }
        assert!((tie(0.92) - 0.99946).abs() < 5e-6, "{}", tie(0.92));
        // What is drawn has them: arrhythmias win ties, other segments lose them.
        let draws = 60_000;
        for (positive, expected) in [(true, tie(0.90)), (false, strict(0.90))] {
            let stream = Philox::new(7, u64::from(positive));
            let decisions = (0..6 * draws).map(|index| (stream.uniform(index) < 0.90) == positive);
            let votes = diagnoses(SIX, decisions);
            let right =
                votes.iter().filter(|vote| **vote == positive).count() as f64 / draws as f64;
            // Four standard errors of 60,000 draws.
            let bound = 4.0 * (expected * (1.0 - expected) / draws as f64).sqrt();
            assert!((right - expected).abs() < bound, "{right} {expected}");
        }
    }
}
