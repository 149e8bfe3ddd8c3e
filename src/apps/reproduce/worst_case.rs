//! The worst admissible deviation, and training for it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use anyhow::Result;
use crossburn_models::Classifier;
use crossburn_noise::worst_case::{MonteCarlo, Search, SignGradient, worst_case};
use crossburn_noise::{Distribution, Variation};
use crossburn_training::{ATrice, AttackLoss, Awp, Batches, Method, WeightAttack};
use serde::Serialize;

use super::{Arm, Cells, Experiment, PLAIN, Scene, claim, differences};
use crate::report::Claim;

/// Seed of random deviations and restarts.
const SEED: u64 = 7;

/// Does a search find what random chips do not, and does training against it raise the floor?
///
/// The worst case of a network is the lower of two searches, by margin and by cross-entropy: each alone makes some ways of
/// training look stronger than they are.
///
/// # Source
/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626) and TCAD 2024 (arXiv 2312.06137). Networks, data and thresholds are smaller
/// than the papers': there deep networks fall to almost nothing, and training gains up to 33 points.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WorstCasePaper {
    /// The bound that training is for, relative to the largest weight of a layer.
    bound: f64,
    /// Others that are judged, below and above.
    others: [f64; 2],
    /// Steps of the search.
    steps: usize,
    /// Numbers of steps that are compared.
    compared: [usize; 3],
    /// Strength of every training noise.
    sigma: f64,
    /// Censoring point, in standard deviations.
    censor: f64,
    /// Weights of the adversarial loss to choose from.
    weights: [f64; 2],
    /// Steps of the adversary to choose from.
    adversarial_steps: [f64; 2],
}

impl Default for WorstCasePaper {
    fn default() -> Self {
        Self {
            bound: 0.03,
            others: [0.01, 0.05],
            steps: 20,
            compared: [5, 10, 40],
            sigma: 0.25,
            censor: 1.0,
            weights: [0.3, 1.0],
            adversarial_steps: [0.015, 0.03],
        }
    }
}

const RANDOM: &str = "random, lowest";
const VALIDATION: &str = "of validation";

/// The number of a search by one loss.
fn by(loss: AttackLoss) -> String {
    format!("by {}", loss.name())
}

impl WorstCasePaper {
    fn at(bound: f64) -> String {
        format!("worst at {bound}")
    }

    fn in_steps(steps: usize) -> String {
        format!("in {steps} steps")
    }

    fn search(steps: usize) -> Search {
        Search::SignGradient(SignGradient {
            steps,
            ..SignGradient::default()
        })
    }
}

impl Experiment for WorstCasePaper {
    const NAME: &'static str = "worst-case";

    fn columns(&self) -> Vec<String> {
        let [below, above] = self.others;
        vec![
            "clean".to_string(),
            RANDOM.to_string(),
            Self::at(below),
            Self::at(self.bound),
            Self::at(above),
            by(AttackLoss::default()),
        ]
    }

    fn arms(&self) -> Vec<Arm> {
        let censored = Variation::from(Distribution::right_censored(self.sigma, self.censor));
        let gaussian = Variation::from(Distribution::gaussian(self.sigma));
        let mut arms = vec![
            Arm::new(PLAIN, PLAIN, Variation::default()),
            Arm::new("gaussian", "gaussian", gaussian),
            Arm::new("right-censored", "right-censored", censored).folded(),
        ];
        for weight in self.weights {
            for step in self.adversarial_steps {
                let method = Method::ATrice(ATrice {
                    adversarial_weight: weight,
                    adversarial_step: step,
                    literal: false,
                });
                let name = format!("a-trice {weight}, {step}");
                arms.push(Arm::new(name, "a-trice", censored).by(method).folded());
            }
        }
        arms.push(Arm::new("awp", "awp", Variation::default()).by(Method::Awp(Awp::default())));
        arms
    }

    fn judged_chips(&self, _: &Arm, chips: u64) -> u64 {
        2 * chips
    }

    fn judge<C: Classifier>(
        &self,
        arm: &Arm,
        scene: &Scene<'_, C>,
    ) -> Result<Option<BTreeMap<String, f64>>> {
        let attacks = |batches: &Batches| {
            let attack = |loss: AttackLoss| {
                let attack = WeightAttack::new(scene.network, scene.quantization, batches.clone())?;
                anyhow::Ok((loss, attack.with_loss(loss)))
            };
            AttackLoss::both()
                .into_iter()
                .map(attack)
                .collect::<Result<Vec<_>>>()
        };
        let search = |attack: &WeightAttack<C>, bound, search: Search| {
            let found = worst_case(attack, &attack.bounds(bound)?, &search, SEED, None, |_| {
                if matches!(search, Search::MonteCarlo(_)) {
                    (scene.on_chip)();
                }
                match scene.stop.load(Ordering::SeqCst) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
            anyhow::Ok((!found.interrupted).then_some(found))
        };
        // The accuracy that a search by each loss finds; `None` where one was stopped.
        let searched = |attacks: &[(AttackLoss, WeightAttack<C>)], bound| {
            let one = |(loss, attack): &(AttackLoss, WeightAttack<C>)| {
                let found = search(attack, bound, Self::search(self.steps))?;
                anyhow::Ok(found.map(|found| (*loss, found.accuracy)))
            };
            let all: Vec<_> = attacks.iter().map(one).collect::<Result<_>>()?;
            anyhow::Ok(all.into_iter().collect::<Option<Vec<_>>>())
        };
        let lowest = |found: &[(AttackLoss, f64)]| {
            let accuracies = found.iter().map(|(_, accuracy)| *accuracy);
            accuracies.fold(f64::INFINITY, f64::min)
        };
        let on_test = attacks(&scene.test)?;
        let by_margin = &on_test[0].1;
        let mut numbers = BTreeMap::new();
        let random = Search::MonteCarlo(MonteCarlo {
            draws: 2 * scene.chips as usize,
        });
        let Some(found) = search(by_margin, self.bound, random)? else {
            return Ok(None);
        };
        numbers.insert("clean".to_string(), found.clean);
        numbers.insert(RANDOM.to_string(), found.accuracy);
        for bound in [self.others[0], self.bound, self.others[1]] {
            let Some(found) = searched(&on_test, bound)? else {
                return Ok(None);
            };
            if bound == self.bound {
                numbers.extend(found.iter().map(|(loss, accuracy)| (by(*loss), *accuracy)));
            }
            numbers.insert(Self::at(bound), lowest(&found));
        }
        let Some(found) = searched(&attacks(&scene.validation)?, self.bound)? else {
            return Ok(None);
        };
        numbers.insert(VALIDATION.to_string(), lowest(&found));
        if arm.name == PLAIN {
            for steps in self.compared {
                let Some(found) = search(by_margin, self.bound, Self::search(steps))? else {
                    return Ok(None);
                };
                numbers.insert(Self::in_steps(steps), found.accuracy);
            }
        }
        Ok(Some(numbers))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        let at = Self::at(self.bound);
        let (clean, none) = (cells.of(PLAIN, "clean"), cells.of(PLAIN, &at));
        let tuned = |family| cells.tuned(family, VALIDATION, &at);
        let mut claims = vec![
            claim(
                "points that the lowest of all random deviations loses, without noise training",
                "≤ 3",
                differences(&clean, &cells.of(PLAIN, RANDOM)),
                |mean| mean <= 3.0,
            )?,
            claim(
                "points that the search takes, without noise training",
                "≥ 40; on deep networks nearly all",
                differences(&clean, &none),
                |mean| mean >= 40.0,
            )?,
        ];
        let [few, half, most] = self.compared;
        let steps = [
            (few, Self::in_steps(few)),
            (half, Self::in_steps(half)),
            (self.steps, by(AttackLoss::default())),
            (most, Self::in_steps(most)),
        ]
        .map(|(steps, number)| (steps, cells.of(PLAIN, &number)));
        for ((few, fewer), (many, more)) in steps.iter().zip(&steps[1..]) {
            claims.push(claim(
                format!("points that twice the steps take further: {few} to {many}"),
                "≥ 0",
                differences(fewer, more),
                |mean| mean >= 0.0,
            )?);
        }
        for arm in &cells.arms {
            claims.push(claim(
                format!(
                    "points that the margin loss takes further than cross-entropy: {}",
                    arm.name
                ),
                "≥ 0 on average",
                differences(
                    &cells.of(&arm.name, &by(AttackLoss::CrossEntropy {})),
                    &cells.of(&arm.name, &by(AttackLoss::default())),
                ),
                |mean| mean >= 0.0,
            )?);
        }
        for (name, family) in [
            ("Gaussian", "gaussian"),
            ("right-censored", "right-censored"),
            ("A-TRICE", "a-trice"),
        ] {
            claims.push(claim(
                format!("worst case, {name} over none"),
                "≥ 20 points",
                differences(&tuned(family), &none),
                |mean| mean >= 20.0,
            )?);
        }
        for (name, family, expected) in [
            ("right-censored", "right-censored", 3.0),
            ("Gaussian", "gaussian", 2.0),
        ] {
            claims.push(claim(
                format!("worst case, A-TRICE over {name}"),
                format!("≥ {expected} points; the paper has up to 33"),
                differences(&tuned("a-trice"), &tuned(family)),
                |mean| mean >= expected,
            )?);
        }
        Ok(claims)
    }
}
