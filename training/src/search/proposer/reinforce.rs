//! REINFORCE: a policy with a softmax at every position.

use super::{Proposal, Proposer, proposed};
use crate::TrainingError;
use crate::search::{Design, Draws, Space, Trial};

/// Draws from the policy until one keeps the constraints.
const TRIES: usize = 200;
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// How [`Reinforce`] learns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReinforceConfig {
    /// Step of Adam.
    pub learning_rate: f64,
    /// Share of the moving average that a new score does not replace.
    pub baseline: f64,
    /// Weight of the entropy of the policy.
    pub entropy: f64,
}

impl Default for ReinforceConfig {
    /// A step ten times that of NACIM's reconstruction: with it, 500 evaluations move a policy without layers far enough.
    fn default() -> Self {
        Self {
            learning_rate: 0.05,
            baseline: 0.9,
            entropy: 1e-3,
        }
    }
}

/// A policy with independent choices at every position, learned by REINFORCE.
///
/// ```text
/// gradient   (R - b) d log pi(design) + entropy dH,    b the moving average of R
/// ```
///
/// It takes one step of Adam after every trial. A draw that breaks a constraint is drawn again, and the gradient does not know of that.
///
/// # Source
/// Williams, "Simple statistical gradient-following algorithms", Machine Learning 1992; as the reference method of LCDA, section 6, with a
/// softmax per position in place of a recurrent policy.
#[derive(Clone, Debug)]
pub struct Reinforce {
    config: ReinforceConfig,
    draws: Draws,
    /// Preferences (logarithms of weights), their first and their second moments, by position.
    preferences: Vec<Vec<[f64; 3]>>,
    baseline: Option<f64>,
    steps: i32,
}

impl Reinforce {
    /// A policy that does not prefer anything yet.
    pub fn new(seed: u64, config: ReinforceConfig) -> Self {
        Self {
            config,
            draws: Draws::new(seed, "reinforce"),
            preferences: Vec::new(),
            baseline: None,
            steps: 0,
        }
    }

    /// The probability of every choice at a position.
    pub fn probabilities(&self, position: usize) -> Vec<f64> {
        let preferences = self.preferences.get(position).into_iter().flatten();
        let preferences: Vec<f64> = preferences.map(|[preference, ..]| *preference).collect();
        let most = preferences
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = preferences
            .iter()
            .map(|preference| (preference - most).exp())
            .collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }

    fn learn(&mut self, space: &Space, design: &Design, score: f64) {
        let ReinforceConfig {
            learning_rate,
            baseline,
            entropy,
        } = self.config;
        let expected = self.baseline.unwrap_or(score);
        let advantage = score - expected;
        self.baseline = Some(baseline * expected + (1.0 - baseline) * score);
        self.steps += 1;
        let [first, second] = [BETA1, BETA2].map(|beta| 1.0 - beta.powi(self.steps));
        for position in (0..space.positions()).filter(|at| space.uses(design, *at)) {
            let probabilities = self.probabilities(position);
            let surprise = |p: f64| -p.max(f64::MIN_POSITIVE).ln();
            let mean: f64 = probabilities.iter().map(|p| p * surprise(*p)).sum();
            let taken = usize::from(design.numbers()[position]);
            for (choice, p) in probabilities.into_iter().enumerate() {
                let hit = f64::from(u8::from(choice == taken));
                // dH / d preference = p (surprise - H).
                let gradient = advantage * (hit - p) + entropy * p * (surprise(p) - mean);
                let [preference, m, v] = &mut self.preferences[position][choice];
                *m = BETA1 * *m + (1.0 - BETA1) * gradient;
                *v = BETA2 * *v + (1.0 - BETA2) * gradient * gradient;
                *preference += learning_rate * (*m / first) / ((*v / second).sqrt() + EPSILON);
            }
        }
    }
}

impl Proposer for Reinforce {
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError> {
        if self.preferences.is_empty() {
            let choices = (0..space.positions()).map(|at| space.axis_at(at).choices.len());
            self.preferences = choices.map(|choices| vec![[0.0; 3]; choices]).collect();
        }
        if let Some(trial) = history.last()
            && let Some(design) = &trial.design
        {
            self.learn(space, design, trial.score);
        }
        let policy: Vec<Vec<f64>> = (0..space.positions())
            .map(|at| self.probabilities(at))
            .collect();
        let drawn = (0..TRIES).find_map(|_| {
            let numbers = policy
                .iter()
                .map(|weights| self.draws.weighted(weights) as u16);
            let design = space.design(numbers.collect())?;
            space.check(&design).is_ok().then_some(design)
        });
        Ok(proposed(drawn.or_else(|| space.draw(&mut self.draws))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::search::SpaceConfig;

    /// A bandit with independent arms: the best arm at position `i` is `i`, with a mean of 0.8 in place of 0.2, of noisy pay.
    #[test]
    fn a_bandit_is_solved() {
        let text = "name = \"bandit\"\nnetwork.arm = { times = 3, of = [0, 1, 2] }";
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let mut pay = Draws::new(5, "pay");
        let mut solver = Reinforce::new(1, ReinforceConfig::default());
        let mut history: Vec<Trial> = Vec::new();
        for _ in 0..1500 {
            let Proposal::Design(design) = solver.propose(&space, &history).unwrap() else {
                panic!("a design");
            };
            let arms = design.numbers().iter().enumerate();
            let mean = |(place, arm): (usize, &u16)| match usize::from(*arm) == place {
                true => 0.8,
                false => 0.2,
            };
            let score = arms
                .map(|arm| f64::from(u8::from(pay.uniform() < mean(arm))))
                .sum();
            history.push(Trial {
                design: Some(design),
                values: vec![score],
                refused: None,
                score,
                repeated: false,
            });
        }
        for place in 0..3 {
            let probabilities = solver.probabilities(place);
            assert!(probabilities[place] > 0.9, "{place}: {probabilities:?}");
        }
        // 3 · 0.8 with a standard error of sqrt(3 · 0.16 / 200) = 0.05; a random arm pays 1.2.
        let late: f64 = history[1300..].iter().map(|trial| trial.score).sum::<f64>() / 200.0;
        assert!(late > 2.1, "{late}");
    }

    #[test]
    fn one_step_by_hand() {
        let text = "name = \"coin\"\nnetwork.side = [0, 1]";
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let mut solver = Reinforce::new(1, ReinforceConfig::default());
        solver.propose(&space, &[]).unwrap();
        assert_eq!(solver.probabilities(0), [0.5, 0.5]);
        let design = space.design(vec![1]).unwrap();
        solver.learn(&space, &design, 0.3);
        // The first score is its own baseline, and the entropy of a fair coin has no gradient.
        assert_eq!(solver.probabilities(0), [0.5, 0.5]);
        solver.learn(&space, &design, 1.3);
        // Baseline 0.3: gradient ±0.5. Adam: m = 0.05, v = 0.00025, corrected by 0.19 and 0.001999.
        let step = 0.05 * (0.05 / 0.19) / ((0.00025f64 / 0.001999).sqrt());
        let expected = 1.0 / (1.0 + (-2.0 * step).exp());
        assert!((solver.probabilities(0)[1] - expected).abs() < 1e-6);
        assert!((solver.baseline.unwrap() - 0.4).abs() < 1e-12);
    }
}
