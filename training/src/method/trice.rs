//! TRICE: noise injection whose strength is searched while the network trains.

use std::sync::atomic::AtomicBool;

use crossburn_models::Network;
use crossburn_noise::{Distribution, Population, Variation, path_hash};
use serde::{Deserialize, Serialize};

use super::{Plan, Scene, Verdict, needs_noise};
use crate::batch_norm_refresh::batch_norm_refresh;
use crate::learner::Learner;
use crate::task::Learn;
use crate::{Evaluation, Passes, Recipe, Selection, TrainingError};

/// Chips below which a low percentile is near the minimum of what was drawn: noisy, and a choice by it optimistic.
const FEWEST_CHIPS: u64 = 50;

/// Three copies of one initial network train under three strengths of the noise, trisecting an interval.
///
/// ```text
/// every epoch   each copy trains under its own σ: left, middle, right quarter of [low, high]     (Trisection)
///               batch norms of each copy are refreshed without noise: training.batch_norm_refresh passes, one at least
///               each copy is judged: quantile q of the metric on validation items over    chips of the deployment noise
///               the interval shrinks around the best; all copies continue from its weights, each with its own optimizer
/// where high - low < 1e-4, the middle copy trains on alone
/// ```
///
/// The noise is that of `[noise]`, in the paper right-censored, and its `sigma_rel_wmax` is the upper end of the interval,
/// which starts at 0. The copies see the same items in the same order, draw the same chips up to the strength, and are
/// judged on the same chips, new ones every epoch. The best epoch by the quantile is kept. With several `censors` all of it
/// is done once for each, from the initial network, and the best of all is kept.
///
/// # Source
/// Yan et al., ICCAD 2023 (arXiv 2307.15853), automated choice of the strength. Deviations: validation items judge, not
/// test items; at least 50 chips, where the authors' code draws 10; censoring points are a list, tried in turn; `settle`,
/// as the paper's epochs have ten times the steps of a small set's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trice {
    /// q: a copy is as good as this fraction of chips at least allows.
    #[serde(default = "tenth")]
    pub quantile: f64,
    /// Chips that judge a copy, 50 or more.
    #[serde(default = "fifty")]
    pub chips: u64,
    /// Epochs, before those of the recipe, of plain SGD with rate 1e-3, each copy at its σ, that decide nothing.
    #[serde(default)]
    pub warm_up: usize,
    /// First epochs of the recipe that decide nothing: each copy learns under its σ. A network that has hardly learned does
    /// best under the weakest noise, whatever it will need later, and what an early decision rules out never comes back.
    #[serde(default)]
    pub settle: usize,
    /// Censoring points to try, one after the other; that of `[noise]` where empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub censors: Vec<f64>,
    /// The variation that chips will have.
    pub variation: Variation,
}

fn tenth() -> f64 {
    0.1
}

fn fifty() -> u64 {
    FEWEST_CHIPS
}

/// An interval of σ, cut at its quarters.
///
/// ```
/// use crossburn_training::Trisection;
///
/// let start = Trisection::new(0.4);
/// assert_eq!(start.candidates(), [0.1, 0.2, 0.30000000000000004]);
/// // The left copy did best: what lies right of the right one is out.
/// assert_eq!(start.shrink(0).high, 0.30000000000000004);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trisection {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Trisection {
    /// From 0 to `high`.
    pub fn new(high: f64) -> Self {
        Self { low: 0.0, high }
    }

    /// Left, middle and right: the quarters of the interval.
    pub fn candidates(&self) -> [f64; 3] {
        let quarter = (self.high - self.low) / 4.0;
        [
            self.low + quarter,
            (self.low + self.high) / 2.0,
            self.high - quarter,
        ]
    }

    /// The candidate with the largest oriented quantile, the first of equals.
    pub fn winner(quantiles: &[f64]) -> usize {
        let mut best = 0;
        for (index, quantile) in quantiles.iter().enumerate() {
            if *quantile > quantiles[best] {
                best = index;
            }
        }
        best
    }

    /// The interval after a win of candidate 0, 1 or 2.
    pub fn shrink(self, winner: usize) -> Self {
        let [left, _, right] = self.candidates();
        match winner {
            0 => Self {
                high: right,
                ..self
            },
            1 => Self {
                low: left,
                high: right,
            },
            _ => Self { low: left, ..self },
        }
    }

    /// Whether the candidates are as good as one.
    pub fn is_found(&self) -> bool {
        self.high - self.low < 1e-4
    }
}

impl Trice {
    pub(super) fn epochs(&self, epochs: usize) -> usize {
        (self.warm_up + epochs) * self.censors.len().max(1)
    }

    pub(super) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        needs_noise(recipe)?;
        if recipe.noise.sigma() == 0.0 {
            return Err(TrainingError::setting(
                "noise.sigma_rel_wmax",
                0,
                "a number above 0 with the method trice: the upper end of its search",
            ));
        }
        self.variation.check()?;
        if let Distribution::None {} = self.variation.distribution {
            return Err(TrainingError::setting(
                "method.variation.kind",
                "none",
                "the distribution that chips will have",
            ));
        }
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            return Err(TrainingError::setting(
                "method.quantile",
                self.quantile,
                "a number above 0 and below 1",
            ));
        }
        if !(FEWEST_CHIPS..1 << 32).contains(&self.chips) {
            return Err(TrainingError::setting(
                "method.chips",
                self.chips,
                "50 or more: a low quantile of fewer is about their minimum",
            ));
        }
        if self.settle >= recipe.training.epochs {
            return Err(TrainingError::setting(
                "method.settle",
                self.settle,
                "fewer than training.epochs: the rest decide",
            ));
        }
        if !self.censors.is_empty()
            && !matches!(recipe.noise.distribution, Distribution::RightCensored(_))
        {
            return Err(TrainingError::setting(
                "noise.kind",
                recipe.noise.distribution.name(),
                "right-censored where method.censors is given",
            ));
        }
        if let Some(censor) = self.censors.iter().find(|censor| !censor.is_finite()) {
            return Err(TrainingError::setting(
                "method.censors",
                censor,
                "finite numbers",
            ));
        }
        if let Some(patience) = recipe.training.patience {
            return Err(TrainingError::setting(
                "training.patience",
                patience,
                "no patience with the method trice: its search needs its epochs",
            ));
        }
        if recipe.training.selection == Selection::Last && self.censors.len() > 1 {
            return Err(TrainingError::setting(
                "training.selection",
                "last",
                "best-validation where method.censors has several points: one of them is to be chosen",
            ));
        }
        Ok(())
    }

    pub(super) fn plan(
        &self,
        recipe: &Recipe,
        epoch: usize,
        search: &mut Option<Trisection>,
    ) -> Plan {
        let each = self.warm_up + recipe.training.epochs;
        let (round, within) = ((epoch - 1) / each, (epoch - 1) % each + 1);
        if within == 1 {
            *search = None;
        }
        let search = *search.get_or_insert_with(|| Trisection::new(recipe.noise.sigma()));
        let schedule_epoch = within.saturating_sub(self.warm_up).max(1);
        let noise = match self.censors.get(round) {
            Some(&censor) => Variation {
                distribution: Distribution::right_censored(recipe.noise.sigma(), censor),
                ..recipe.noise
            },
            None => recipe.noise,
        };
        let all = search.candidates().into_iter().enumerate();
        let copies = all
            .filter(|(copy, _)| *copy == 1 || !search.is_found())
            .map(|(copy, sigma)| (copy, noise.with_sigma(sigma)))
            .collect();
        Plan {
            copies,
            restart: within == 1 && round > 0,
            warm_up: within <= self.warm_up,
            decides: within > self.warm_up + self.settle,
            schedule_epoch,
        }
    }

    pub(super) fn judge<N: Network, T: Learn<N>>(
        &self,
        learners: &mut [Learner<N>],
        plan: &Plan,
        search: &mut Option<Trisection>,
        passes: &mut Passes,
        scene: &Scene<'_, T>,
    ) -> Result<Option<Verdict>, TrainingError> {
        if !plan.decides {
            // The middle copy stands for the epoch, which is not kept.
            return Ok(Some(Verdict {
                winner: plan.copies.len() / 2,
                percentile: None,
            }));
        }
        let mut quantiles = Vec::with_capacity(plan.copies.len());
        for &(copy, _) in &plan.copies {
            if (scene.stop)() {
                return Ok(None);
            }
            let learner = &mut learners[copy];
            learner.network = batch_norm_refresh(
                learner.network.clone(),
                scene.recipe.training.batch_norm_refresh.max(1),
                &scene.recipe.weights::<N>(),
                scene.recipe,
                scene.run,
                passes,
            )?;
            quantiles.push(self.quantile(&learner.network, scene)?);
            passes.forward += self.chips * scene.validation.items() as u64;
        }
        let better = scene.validation.metric().better;
        let oriented: Vec<f64> = quantiles.iter().map(|q| better.orient(*q)).collect();
        let winner = Trisection::winner(&oriented);
        if plan.copies.len() > 1 {
            *search = search.map(|search| search.shrink(winner));
            let (best, _) = plan.copies[winner];
            let best = learners[best].network.valid();
            for learner in learners.iter_mut() {
                // Copies with running statistics of their own.
                learner.network = best.valid().train();
            }
        }
        Ok(Some(Verdict {
            winner,
            percentile: Some(quantiles[winner]),
        }))
    }

    /// The quantile of the metric over this epoch's chips, from the worse end.
    fn quantile<N: Network, T: Learn<N>>(
        &self,
        network: &N,
        scene: &Scene<'_, T>,
    ) -> Result<f64, TrainingError> {
        let weights = scene.recipe.weights::<N>();
        let evaluation = Evaluation::new(network, weights, scene.validation.clone());
        let seed = scene.recipe.seed ^ path_hash("chips of a search");
        let first = (scene.epoch as u64) << 32;
        let (chips, _) = evaluation.population(
            &evaluation.varied(&self.variation),
            seed,
            first..first + self.chips,
            |_, _| {},
            &AtomicBool::new(false),
        )?;
        let metric = chips.into_iter().map(|(_, metric)| metric).collect();
        let chips = Population::new(seed, first, metric).judged_by(evaluation.metric().better);
        Ok(chips.kpp(100.0 * self.quantile)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_winner_and_what_it_leaves_of_the_interval() {
        let start = Trisection {
            low: 0.25,
            high: 1.25,
        };
        assert_eq!(start.candidates(), [0.5, 0.75, 1.0]);
        // Quantiles of left, middle and right; the winner; the interval after it.
        for (quantiles, winner, low, high) in [
            ([0.9, 0.8, 0.7], 0, 0.25, 1.0),
            ([0.8, 0.9, 0.7], 1, 0.5, 1.0),
            ([0.7, 0.8, 0.9], 2, 0.5, 1.25),
            // The first of equals.
            ([0.9, 0.9, 0.9], 0, 0.25, 1.0),
            ([0.8, 0.9, 0.9], 1, 0.5, 1.0),
            ([0.0, 0.0, 0.0], 0, 0.25, 1.0),
        ] {
            assert_eq!(Trisection::winner(&quantiles), winner, "{quantiles:?}");
            assert_eq!(start.shrink(winner), Trisection { low, high });
        }
        // A single copy wins.
        assert_eq!(Trisection::winner(&[0.3]), 0);
    }

    #[test]
    fn the_search_finds_the_best_sigma_of_a_function_with_one_peak() {
        for peak in [0.0, 0.07, 0.25, 0.31, 0.5, 0.9] {
            let quantile = |sigma: f64| 0.9 - (sigma - peak).abs();
            let mut search = Trisection::new(0.5);
            let mut epochs = 0;
            while !search.is_found() {
                let quantiles = search.candidates().map(quantile);
                search = search.shrink(Trisection::winner(&quantiles));
                epochs += 1;
            }
            let best = f64::min(peak, 0.5);
            let middle = search.candidates()[1];
            // The peak stays in the interval, which is narrower than 1e-4 now.
            assert!((middle - best).abs() < 1e-4, "{peak} {search:?}");
            // Each epoch leaves a half or three quarters: log(0.5 / 1e-4) by log 2 and by log 4/3.
            assert!((12..=30).contains(&epochs), "{peak} {epochs}");
        }
    }

    fn recipe(method: &str) -> Recipe {
        let text = format!(
            "seed = 1\n\
             [model]\nkind = \"mlp\"\nwidths = [784, 10]\n\
             [data]\nsource = \"digits\"\n\
             [training]\nepochs = 3\n\
             [method]\nkind = \"trice\"\n{method}\n\
             [method.variation]\nkind = \"gaussian\"\nsigma_rel_wmax = 0.1\n\
             [noise]\nkind = \"right-censored\"\nsigma_rel_wmax = 0.4\ncensor = 1.0\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_plan_says_what_every_epoch_trains() {
        let recipe = recipe("warm_up = 1\ncensors = [0.5, 2.0]");
        recipe.check().unwrap();
        assert_eq!(recipe.epochs(), 8);
        let mut search = None;
        let plan = |epoch, search: &mut Option<Trisection>| {
            let plan = recipe.method.plan(&recipe, epoch, search);
            let sigmas: Vec<f64> = plan.copies.iter().map(|(_, noise)| noise.sigma()).collect();
            let Distribution::RightCensored(noise) = plan.copies[0].1.distribution else {
                panic!("right-censored");
            };
            (
                sigmas,
                noise.censor,
                plan.restart,
                plan.warm_up,
                plan.schedule_epoch,
            )
        };
        let start = vec![0.1, 0.2, 0.4 - 0.1];
        assert_eq!(plan(1, &mut search), (start.clone(), 0.5, false, true, 1));
        assert_eq!(plan(2, &mut search), (start.clone(), 0.5, false, false, 1));
        search = search.map(|search| search.shrink(1));
        let inner = plan(3, &mut search);
        assert_eq!(
            (inner.0.len(), inner.0[1], inner.3, inner.4),
            (3, 0.2, false, 2)
        );
        search = Some(Trisection {
            low: 0.2,
            high: 0.20005,
        });
        assert_eq!(plan(4, &mut search).0, [0.200025]);
        // The next censoring point starts over.
        assert_eq!(plan(5, &mut search), (start.clone(), 2.0, true, true, 1));
        assert_eq!(plan(6, &mut search), (start, 2.0, false, false, 1));
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        recipe("").check().unwrap();
        let message = |change: &dyn Fn(&mut Recipe, &mut Trice)| {
            let mut recipe = recipe("");
            let crate::Method::Trice(mut trice) = recipe.method.clone() else {
                panic!("trice");
            };
            change(&mut recipe, &mut trice);
            recipe.method = crate::Method::Trice(trice);
            let message = recipe.check().unwrap_err().to_string();
            assert!(!message.contains('\n'));
            message
        };
        for (part, change) in [
            (
                "method.quantile = 1 ",
                &(|_: &mut Recipe, t: &mut Trice| t.quantile = 1.0)
                    as &dyn Fn(&mut Recipe, &mut Trice),
            ),
            ("method.quantile = NaN ", &|_, t| t.quantile = f64::NAN),
            ("method.chips = 49 ", &|_, t| t.chips = 49),
            ("method.settle = 3 ", &|_, t| t.settle = 3),
            ("method.censors = inf ", &|_, t| {
                t.censors = vec![1.0, f64::INFINITY]
            }),
            ("method.variation.kind = none ", &|_, t| {
                t.variation = Variation::default()
            }),
            ("gaussian: sigma_rel_wmax = -1 ", &|_, t| {
                t.variation = Distribution::gaussian(-1.0).into()
            }),
            ("noise.kind = none ", &|r, _| r.noise = Variation::default()),
            ("noise.sigma_rel_wmax = 0 ", &|r, _| {
                r.noise = r.noise.with_sigma(0.0)
            }),
            ("noise.kind = gaussian ", &|r, t| {
                r.noise = Distribution::gaussian(0.3).into();
                t.censors = vec![1.0];
            }),
            ("training.patience = 2 ", &|r, _| {
                r.training.patience = Some(2)
            }),
            ("training.selection = last ", &|r, t| {
                r.training.selection = Selection::Last;
                t.censors = vec![1.0, 2.0];
            }),
        ] {
            let message = message(change);
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
