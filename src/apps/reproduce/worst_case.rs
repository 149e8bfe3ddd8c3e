//! The worst admissible deviation, and training against it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use anyhow::Result;
use crossburn_models::Network;
use crossburn_noise::worst_case::{Auto, MonteCarlo, Search, SignGradient, worst_case};
use crossburn_noise::{Distribution, Variation};
use crossburn_training::{ATrice, Awp, Batches, Learn, Method, WeightAttack};
use serde::Serialize;

use super::cells::Cells;
use super::claim::{Expected, claim, differences};
use super::noise_study::{NoiseStudy, OnSetting, Scene};
use super::registry::{Asked, Paper, Repeat};
use super::setting::{self, NoiseArm, PLAIN};
use crate::report::Claim;

/// Seed of random deviations and of restarts.
const SEED: u64 = 7;

/// Does a search find worse chips than random draws, and does training against it raise the worst case?
///
/// The worst case of a network is the result of the automatic search. Two single searches are shown beside it: steps against the sign of the gradient of the
/// margin, and of the cross-entropy. Each alone makes some ways of training look stronger than they are.
///
/// # Source
/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626) and TCAD 2024 (arXiv 2312.06137). Networks, data and thresholds are smaller than the papers'. There, the
/// accuracy of deep networks falls to almost nothing, and training gains up to 33 points.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WorstCasePaper {
    /// The bound for which networks are trained, relative to the largest weight of a layer.
    bound: f64,
    /// Further bounds for judging: one below and one above.
    others: [f64; 2],
    /// Number of passes of the search.
    budget: usize,
    /// Further budgets for comparison.
    compared: [usize; 2],
    /// Steps of the single searches from zero to the bound. They take twice as many steps in total.
    steps: usize,
    /// Strength of every training noise.
    sigma: f64,
    /// Censoring point, in standard deviations.
    censor: f64,
    /// Weights of the adversarial loss, one of which is chosen.
    weights: [f64; 2],
    /// Step sizes of the adversary, one of which is chosen.
    adversarial_steps: [f64; 2],
}

impl Default for WorstCasePaper {
    fn default() -> Self {
        Self {
            bound: 0.03,
            others: [0.01, 0.05],
            budget: 200,
            compared: [50, 100],
            steps: 20,
            sigma: 0.25,
            censor: 1.0,
            weights: [0.3, 1.0],
            adversarial_steps: [0.015, 0.03],
        }
    }
}

const RANDOM: &str = "random, lowest";
const VALIDATION: &str = "of validation";

/// Surrogate losses of the single searches, by name.
const SINGLES: [&str; 2] = ["margin", "cross-entropy"];

/// The name of the number of a single search with one surrogate.
fn by(loss: &str) -> String {
    format!("sign, {loss}")
}

impl WorstCasePaper {
    fn at(bound: f64) -> String {
        format!("worst at {bound}")
    }

    fn in_passes(budget: usize) -> String {
        format!("in {budget} passes")
    }

    fn auto(budget: usize) -> Search {
        Search::Auto(Auto { budget })
    }
}

impl Paper for WorstCasePaper {
    const NAME: &'static str = "worst-case";
    const ABOUT: &'static str = "The worst admissible deviation, and A-TRICE";
    const DATA: Option<&'static str> = Some(setting::SOURCES);
    const USUAL_SOURCE: Option<&'static str> = Some("digits");
    const NOTES: &'static str = setting::NOTES;

    fn repeat<R: Repeat>(asked: Asked, repeat: R) -> Result<R::Output> {
        let setting = asked.setting()?;
        let study = Self::default();
        repeat.experiment(&OnSetting { study, setting })
    }
}

impl NoiseStudy for WorstCasePaper {
    fn columns(&self) -> Vec<String> {
        let [below, above] = self.others;
        vec![
            "clean".to_string(),
            RANDOM.to_string(),
            Self::at(below),
            Self::at(self.bound),
            Self::at(above),
            by(SINGLES[0]),
            by(SINGLES[1]),
        ]
    }

    fn arms(&self) -> Vec<NoiseArm> {
        let censored = Variation::from(Distribution::right_censored(self.sigma, self.censor));
        let gaussian = Variation::from(Distribution::gaussian(self.sigma));
        let mut arms = vec![
            NoiseArm::new(PLAIN, PLAIN, Variation::default()),
            NoiseArm::new("gaussian", "gaussian", gaussian),
            NoiseArm::new("right-censored", "right-censored", censored).folded(),
        ];
        for weight in self.weights {
            for step in self.adversarial_steps {
                let method = Method::ATrice(ATrice {
                    adversarial_weight: weight,
                    adversarial_step: step,
                    literal: false,
                });
                let name = format!("a-trice {weight}, {step}");
                arms.push(NoiseArm::new(name, "a-trice", censored).by(method).folded());
            }
        }
        arms.push(
            NoiseArm::new("awp", "awp", Variation::default()).by(Method::Awp(Awp::default())),
        );
        arms
    }

    fn judged_chips(&self, _: &NoiseArm, chips: u64) -> u64 {
        2 * chips
    }

    fn judge<N: Network, T: Learn<N>>(
        &self,
        arm: &NoiseArm,
        scene: &Scene<'_, N, T>,
    ) -> Result<Option<BTreeMap<String, f64>>> {
        let attack = |batches: &Batches<T>| {
            WeightAttack::new(scene.network, &scene.weights, batches.clone())
        };
        let search = |attack: &WeightAttack<N, T>, bound, search: Search| {
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
        let on_test = attack(&scene.test)?;
        let random = Search::MonteCarlo(MonteCarlo {
            draws: 2 * scene.chips as usize,
        });
        let Some(found) = search(&on_test, self.bound, random)? else {
            return Ok(None);
        };
        let mut numbers = BTreeMap::from([
            ("clean".to_string(), on_test.value(found.clean)),
            (RANDOM.to_string(), on_test.value(found.score)),
        ]);
        let mut searches = vec![];
        for bound in [self.others[0], self.bound, self.others[1]] {
            searches.push((Self::at(bound), &on_test, bound, Self::auto(self.budget)));
        }
        let on_validation = attack(&scene.validation)?;
        let auto = Self::auto(self.budget);
        searches.push((VALIDATION.to_string(), &on_validation, self.bound, auto));
        let singles = SINGLES
            .into_iter()
            .map(|name| {
                let surrogate: T::Surrogate = name.parse().map_err(anyhow::Error::msg)?;
                let single = attack(&scene.test)?.with_surrogate(surrogate)?;
                anyhow::Ok((by(name), single))
            })
            .collect::<Result<Vec<_>>>()?;
        let sign = Search::SignGradient(SignGradient {
            steps: self.steps,
            ..SignGradient::default()
        });
        for (name, single) in &singles {
            searches.push((name.clone(), single, self.bound, sign));
        }
        if arm.name == PLAIN {
            for budget in self.compared {
                let name = Self::in_passes(budget);
                searches.push((name, &on_test, self.bound, Self::auto(budget)));
            }
        }
        for (name, attack, bound, how) in searches {
            let Some(found) = search(attack, bound, how)? else {
                return Ok(None);
            };
            numbers.insert(name, attack.value(found.score));
        }
        Ok(Some(numbers))
    }

    fn claims(&self, cells: &Cells) -> Result<Vec<Claim>> {
        let at = Self::at(self.bound);
        let (clean, none) = (cells.of(PLAIN, "clean"), cells.of(PLAIN, &at));
        let tuned = |family| cells.tuned(family, VALIDATION, &at);
        let mut claims = vec![
            claim(
                (
                    "A1",
                    "points that the lowest of all random deviations loses, without noise training",
                ),
                (Expected::AtMost(3.0), "≤ 3"),
                differences(&clean, &cells.of(PLAIN, RANDOM)),
            )?,
            claim(
                ("A1", "points that the search takes, without noise training"),
                (Expected::AtLeast(40.0), "≥ 40; on deep networks nearly all"),
                differences(&clean, &none),
            )?,
        ];
        let [few, half] = self.compared;
        let budgets = [
            (few, cells.of(PLAIN, &Self::in_passes(few))),
            (half, cells.of(PLAIN, &Self::in_passes(half))),
            (self.budget, none.clone()),
        ];
        for pair in budgets.windows(2) {
            let ((few, fewer), (many, more)) = (&pair[0], &pair[1]);
            claims.push(claim(
                (
                    "A2",
                    format!("points that twice the passes take further: {few} to {many}"),
                ),
                (Expected::AtLeast(0.0), "≥ 0"),
                differences(fewer, more),
            )?);
        }
        for arm in &cells.arms {
            let singles = SINGLES.map(|loss| cells.of(&arm.name, &by(loss)));
            let [margin, entropy] = &singles;
            let lower = margin.iter().zip(entropy).map(|(a, b)| a.min(*b));
            claims.push(claim(
                format!(
                    "points that the search takes further than the better of two single ones: {}",
                    arm.name
                ),
                (Expected::AtLeast(0.0), "≥ 0"),
                differences(&lower.collect::<Vec<_>>(), &cells.of(&arm.name, &at)),
            )?);
        }
        for (name, family) in [
            ("Gaussian", "gaussian"),
            ("right-censored", "right-censored"),
            ("A-TRICE", "a-trice"),
        ] {
            claims.push(claim(
                ("A3", format!("worst case, {name} over none")),
                (Expected::AtLeast(20.0), "≥ 20 points"),
                differences(&tuned(family), &none),
            )?);
        }
        for (name, family, least) in [
            ("right-censored", "right-censored", 3.0),
            ("Gaussian", "gaussian", 2.0),
        ] {
            claims.push(claim(
                ("A3", format!("worst case, A-TRICE over {name}")),
                (
                    Expected::AtLeast(least),
                    format!("≥ {least} points; the paper has up to 33"),
                ),
                differences(&tuned("a-trice"), &tuned(family)),
            )?);
        }
        Ok(claims)
    }
}
