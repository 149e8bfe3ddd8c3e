//! The searches within every bound, and random chips within that of the run.

use anyhow::{Context, Result};
use crossburn_hardware::deploy::MappedNetwork;
use crossburn_models::Classifier;
use crossburn_noise::Population;
use crossburn_noise::worst_case::{
    DeviationBounds, LayerSensitivity, Leg, MonteCarlo, Objective, Search, WorstCase,
};
use crossburn_training::{AttackActivations, AttackLoss, WeightAttack};

use super::Kind;
use super::job::Job;
use super::room::Room;
use crate::apps::study::Clock;
use crate::apps::worst_case::Searched;
use crate::cli::progress::bar;
use crate::report::{BoundPoint, FoundBy, LegSummary, RandomChips, SearchSummary};

/// What was found within all bounds.
pub(super) struct Found {
    /// Those within the bound of the run.
    pub(super) searches: Vec<SearchSummary>,
    pub(super) curve: Vec<BoundPoint>,
    pub(super) random: Option<RandomChips>,
    /// The worst within the bound of the run, and what found it.
    pub(super) worst: WorstCase,
    pub(super) found_by: FoundBy,
    /// The layers as the first search within that bound saw them.
    pub(super) layers: Vec<LayerSensitivity>,
}

/// The worst so far.
type Lowest = Option<(WorstCase, FoundBy)>;

impl Job<'_> {
    /// Searches within every bound, from the smallest: what is found there is admissible in the larger ones. The attack
    /// comes back with the first loss, through the activations of the network. `None` where it was interrupted.
    pub(super) fn search_bounds<C: Classifier>(
        &self,
        mut attack: WeightAttack<C>,
        mapped: Option<&MappedNetwork<C>>,
        clock: &mut Clock,
    ) -> Result<Option<(WeightAttack<C>, Found)>> {
        let (mut curve, mut searches) = (Vec::new(), Vec::new());
        let (mut lowest, mut worst): (Lowest, Lowest) = (None, None);
        let (mut random, mut layers) = (None, Vec::new());
        for &bound in self.room.bounds() {
            let boxes = Room::boxes(&attack, mapped, bound)?;
            let own = bound == self.room.own();
            let (mut searched, mut evaluations) = (1.0f64, 0);
            for &kind in &self.kinds {
                attack = attack.with_activations(kind.activations);
                if let Some(surrogate) = kind.surrogate {
                    attack = attack.with_loss(surrogate)?;
                }
                let found = clock.time("search", || self.search(&attack, bound, &boxes, kind))?;
                let Some(found) = found else {
                    return Ok(None);
                };
                searched = searched.min(found.accuracy);
                evaluations += found.evaluations;
                if own {
                    if searches.is_empty() {
                        layers.clone_from(&found.layers);
                    }
                    searches.push(summary(&found, kind, attack.losses()));
                }
                let leg = found.legs.get(found.found.0);
                let found_by = FoundBy::Search {
                    bound,
                    method: leg
                        .map_or(self.search.name(), |leg| leg.kind.name())
                        .to_string(),
                    surrogate: attack.losses()[found.surrogate],
                    activations: kind.activations,
                };
                keep_lower(&mut lowest, found, found_by);
            }
            attack = attack.with_activations(AttackActivations::Quantized);
            if own {
                if self.arguments.random_chips > 0 {
                    let drawn = clock.time("random chips", || self.random(&attack, &boxes))?;
                    let Some((found, chips)) = drawn else {
                        return Ok(None);
                    };
                    // Draws are counted from 1; number 0 is the clean network, which every search has met before.
                    let chip = found.found.1.saturating_sub(1);
                    keep_lower(&mut lowest, found, FoundBy::RandomChip { chip });
                    random = Some(chips);
                }
                worst.clone_from(&lowest);
            }
            curve.push(BoundPoint {
                bound,
                accuracy: lowest
                    .as_ref()
                    .map_or(searched, |(lowest, _)| lowest.accuracy),
                searched,
                evaluations,
            });
        }
        let (worst, found_by) = worst.context("the bound of the run was not searched")?;
        let found = Found {
            searches,
            curve,
            random,
            worst,
            found_by,
            layers,
        };
        Ok(Some((attack, found)))
    }

    /// One search; `None` where it was interrupted.
    fn search<C: Classifier>(
        &self,
        attack: &WeightAttack<C>,
        bound: f64,
        boxes: &DeviationBounds,
        kind: Kind,
    ) -> Result<Option<WorstCase>> {
        let total = self
            .search
            .most_evaluations(boxes.entries(), attack.surrogates());
        let stage = format!("{bound} by {}", kind.name());
        let progress = bar(&self.place.bars, &stage, total, "evaluation");
        let file = format!("bound-{bound}-{}.json", kind.stem());
        let searched = Searched {
            search: &self.search,
            seed: self.arguments.seed,
            path: self.place.out.join("search").join(file),
            of: self.config.clone(),
            resume: self.arguments.resume,
            on_evaluation: &|state| {
                progress.set_message(format!("· accuracy {:.2} %", 100.0 * state.worst()));
                progress.set_position(state.evaluations);
            },
            stop: &self.place.stop,
        };
        let found = searched.run(attack, boxes);
        progress.finish_and_clear();
        found
    }

    /// Random chips within the bound of the run, and the worst of them; `None` where they were interrupted.
    fn random<C: Classifier>(
        &self,
        attack: &WeightAttack<C>,
        boxes: &DeviationBounds,
    ) -> Result<Option<(WorstCase, RandomChips)>> {
        let (seed, draws) = (self.arguments.seed, self.arguments.random_chips);
        let progress = bar(&self.place.bars, "random chips", draws as u64, "chip");
        let searched = Searched {
            search: &Search::MonteCarlo(MonteCarlo { draws }),
            seed,
            path: self.place.out.join("search").join("random-chips.json"),
            of: self.config.clone(),
            resume: self.arguments.resume,
            on_evaluation: &|state| progress.set_position(state.evaluations - 1),
            stop: &self.place.stop,
        };
        let found = searched.run(attack, boxes)?;
        progress.finish_and_clear();
        Ok(found.map(|found| {
            let chips = found.path.iter().skip(1).map(|point| point.accuracy);
            let population = Population::new(seed, 0, chips.collect());
            let chips = RandomChips {
                chips: population.chips(),
                mean: population.mean(),
                std: population.std(),
                worst: population.worst_of_n(),
                accuracy: population.metric,
            };
            (found, chips)
        }))
    }
}

/// Of two with one accuracy, the earlier stays.
fn keep_lower(lowest: &mut Lowest, found: WorstCase, found_by: FoundBy) {
    let lower = |(lowest, _): &(WorstCase, FoundBy)| found.accuracy < lowest.accuracy;
    if lowest.as_ref().is_none_or(lower) {
        *lowest = Some((found, found_by));
    }
}

fn summary(found: &WorstCase, kind: Kind, losses: &[AttackLoss]) -> SearchSummary {
    let leg = |leg: &Leg| LegSummary {
        method: leg.kind.name().to_string(),
        surrogate: losses[leg.surrogate],
        from: leg.from,
        accuracy: (leg.accuracy <= 1.0).then_some(leg.accuracy),
        evaluations: leg.evaluations,
    };
    SearchSummary {
        surrogate: losses[found.surrogate],
        activations: kind.activations,
        accuracy: found.accuracy,
        loss: found.loss,
        restart: found.found.0,
        iteration: found.found.1,
        evaluations: found.evaluations,
        gradients: found.gradients,
        legs: found.legs.iter().map(leg).collect(),
        path: found.path.clone(),
    }
}
