//! The searches within every bound, and random chips within the bound of the run.

use anyhow::{Context, Result};
use crossburn_hardware::deploy::MappedNetwork;
use crossburn_models::Network;
use crossburn_noise::worst_case::{
    DeviationBounds, LayerSensitivity, Leg, MonteCarlo, Objective, Search, SearchState, WorstCase,
};
use crossburn_noise::{Metric, Population};
use crossburn_training::{AttackActivations, Learn, Surrogate, WeightAttack};

use super::job::{Kind, WorstCaseJob};
use super::room::Room;
use super::searched::Searched;
use crate::apps::study::Clock;
use crate::apps::workplace::Workplace;
use crate::report::{BoundPoint, FoundBy, LegSummary, RandomChips, SearchSummary};

/// The results within all bounds.
pub(super) struct Found {
    /// The searches within the bound of the run.
    pub(super) searches: Vec<SearchSummary>,
    pub(super) curve: Vec<BoundPoint>,
    pub(super) random: Option<RandomChips>,
    /// The worst result within the bound of the run, and which search found it.
    pub(super) worst: WorstCase,
    pub(super) found_by: FoundBy,
    /// The sensitivities of layers, as the first search within that bound saw them.
    pub(super) layers: Vec<LayerSensitivity>,
}

/// The worst result so far.
type Lowest = Option<(WorstCase, FoundBy)>;

impl WorstCaseJob<'_> {
    /// Searches within every bound, from the smallest on, because a result there is admissible in larger bounds too. Also gives the attack with the first
    /// surrogate, through the network's own activations. `None` if it was interrupted.
    pub(super) fn search_bounds<N: Network, T: Learn<N>>(
        &self,
        mut attack: WeightAttack<N, T>,
        mapped: Option<&MappedNetwork<N>>,
        kinds: &[Kind<T::Surrogate>],
        clock: &mut Clock,
    ) -> Result<Option<(WeightAttack<N, T>, Found)>> {
        let metric = attack.metric();
        let (mut curve, mut searches) = (Vec::new(), Vec::new());
        let (mut lowest, mut worst): (Lowest, Lowest) = (None, None);
        let (mut random, mut layers) = (None, Vec::new());
        for &bound in self.room.bounds() {
            let boxes = Room::boxes(&attack, mapped, bound)?;
            let own = bound == self.room.own();
            let (mut searched, mut evaluations) = (f64::INFINITY, 0);
            for &kind in kinds {
                attack = attack.with_activations(kind.activations);
                if let Some(surrogate) = kind.surrogate {
                    attack = attack.with_surrogate(surrogate)?;
                }
                let found = clock.time("search", || self.search(&attack, bound, &boxes, kind))?;
                let Some(found) = found else {
                    return Ok(None);
                };
                searched = searched.min(found.score);
                evaluations += found.evaluations;
                if own {
                    if searches.is_empty() {
                        layers.clone_from(&found.layers);
                    }
                    let surrogates = attack.surrogates_by_number();
                    searches.push(summary(&found, kind, surrogates, &metric));
                }
                let leg = found.legs.get(found.found.0);
                let found_by = FoundBy::Search {
                    bound,
                    method: leg
                        .map_or(self.search.name(), |leg| leg.kind.name())
                        .to_string(),
                    surrogate: attack.surrogates_by_number()[found.surrogate].to_string(),
                    activations: kind.activations,
                };
                keep_lower(&mut lowest, found, found_by);
            }
            attack = attack.with_activations(AttackActivations::Quantized);
            if own {
                if self.random_chips > 0 {
                    let drawn = clock.time("random chips", || self.random(&attack, &boxes))?;
                    let Some((found, chips)) = drawn else {
                        return Ok(None);
                    };
                    // Draws are counted from 1. Number 0 is the network without deviation, which every search has evaluated before.
                    let chip = found.found.1.saturating_sub(1);
                    keep_lower(&mut lowest, found, FoundBy::RandomChip { chip });
                    random = Some(chips);
                }
                worst.clone_from(&lowest);
            }
            curve.push(BoundPoint {
                bound,
                worst: metric
                    .of_score(lowest.as_ref().map_or(searched, |(lowest, _)| lowest.score)),
                searched: metric.of_score(searched),
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

    /// One search; `None` if it was interrupted.
    fn search<N: Network, T: Learn<N>>(
        &self,
        attack: &WeightAttack<N, T>,
        bound: f64,
        boxes: &DeviationBounds,
        kind: Kind<T::Surrogate>,
    ) -> Result<Option<WorstCase>> {
        let metric = attack.metric();
        let total = self
            .search
            .most_evaluations(boxes.entries(), attack.surrogates());
        let stage = format!("{bound} by {}", kind.name());
        let progress = self.place.observer.stage(&stage, total, "evaluation");
        let file = format!("bound-{bound}-{}.json", kind.stem());
        let on_evaluation = |state: &SearchState| {
            let worst = metric.show(metric.of_score(state.worst()));
            progress.say(format!("· {} {worst}", metric.name));
            progress.advance_to(state.evaluations);
        };
        let searched = self.searched(&self.search, &file, &on_evaluation);
        searched.run(attack, boxes)
    }

    /// A search whose state is kept in `file`.
    fn searched<'a>(
        &'a self,
        search: &'a Search,
        file: &str,
        on_evaluation: &'a dyn Fn(&SearchState),
    ) -> Searched<'a> {
        let Workplace {
            out, resume, stop, ..
        } = self.place;
        Searched {
            search,
            seed: self.seed,
            path: out.join("search").join(file),
            of: self.config.clone(),
            resume,
            on_evaluation,
            stop,
        }
    }

    /// Random chips within the bound of the run, and the worst of them; `None` if this was interrupted.
    fn random<N: Network, T: Learn<N>>(
        &self,
        attack: &WeightAttack<N, T>,
        boxes: &DeviationBounds,
    ) -> Result<Option<(WorstCase, RandomChips)>> {
        let draws = self.random_chips;
        let progress = (self.place.observer).stage("random chips", draws as u64, "chip");
        let search = Search::MonteCarlo(MonteCarlo { draws });
        let on_evaluation = |state: &SearchState| progress.advance_to(state.evaluations - 1);
        let searched = self.searched(&search, "random-chips.json", &on_evaluation);
        let found = searched.run(attack, boxes)?;
        Ok(found.map(|found| {
            let metric = attack.metric();
            let points = found.path.iter().skip(1);
            let chips = points.map(|point| metric.of_score(point.score)).collect();
            let population = Population::new(self.seed, 0, chips).judged_by(metric.better);
            let chips = RandomChips {
                chips: population.chips(),
                mean: population.mean(),
                std: population.std(),
                worst: population.worst_of_n(),
                values: population.metric,
            };
            (found, chips)
        }))
    }
}

/// Of two results with the same score, the earlier one is kept.
fn keep_lower(lowest: &mut Lowest, found: WorstCase, found_by: FoundBy) {
    let lower = |(lowest, _): &(WorstCase, FoundBy)| found.score < lowest.score;
    if lowest.as_ref().is_none_or(lower) {
        *lowest = Some((found, found_by));
    }
}

fn summary<S: Surrogate>(
    found: &WorstCase,
    kind: Kind<S>,
    surrogates: &[S],
    metric: &Metric,
) -> SearchSummary {
    let leg = |leg: &Leg| LegSummary {
        method: leg.kind.name().to_string(),
        surrogate: surrogates[leg.surrogate].to_string(),
        from: leg.from,
        worst: (leg.score < f64::MAX).then(|| metric.of_score(leg.score)),
        evaluations: leg.evaluations,
    };
    SearchSummary {
        surrogate: surrogates[found.surrogate].to_string(),
        activations: kind.activations,
        worst: metric.of_score(found.score),
        loss: found.loss,
        restart: found.found.0,
        iteration: found.found.1,
        evaluations: found.evaluations,
        gradients: found.gradients,
        legs: found.legs.iter().map(leg).collect(),
        path: found.path.clone(),
    }
}
