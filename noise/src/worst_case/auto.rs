//! Several searches, one after the other: the default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::polish::Polish;
use super::search::Next;
use super::state::{Memory, bits};
use super::walk::Walk;
use super::{
    Apgd, Corners, DeviationBounds, Deviations, Judged, Lagrangian, Momentum, MonteCarlo,
    RawGradient, SearchState, Surrogates,
};
use crate::ChipSeed;

/// The automatic search makes short walks with every surrogate loss of the objective, then longer walks from the best
/// points, and then a polish of the score:
///
/// 1. [`Apgd`] from the clean network by every surrogate, the directed ones (all items one way) among them.
/// 2. [`Momentum`] by the second general surrogate from the clean network, then [`Momentum`], [`Apgd`], [`RawGradient`] and
///    [`Lagrangian`] by the general surrogates from the lowest points, one of every first walk. A walk goes on as long as it
///    lowers its score; what lowered the score before is tried before the others.
/// 3. Entries move to the other end of their box in groups; what lowers the score stays.
/// 4. In a box of fewer than 1,000 entries, where a pass costs next to nothing: every one of these searches by every
///    surrogate with the whole budget, and as many random corners and random chips. These come on top of the budget, so that
///    on a small network nothing of what the search is made of, nor chance, finds more than it does.
///
/// No single search is the strongest on every network. On a network that was trained without noise, the clamped margin finds
/// the worst chips. On a network that was trained against an adversary, pushing all items one way does.
///
/// The budget counts passes. An evaluation with a gradient is one pass; an evaluation without is a third of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auto {
    /// Forward and backward passes over all items, the one of the clean network included.
    pub budget: usize,
}

impl Default for Auto {
    fn default() -> Self {
        Self { budget: 200 }
    }
}

/// The kind of a leg of the automatic search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegKind {
    /// [`Apgd`].
    Apgd,
    /// [`Momentum`].
    Momentum,
    /// [`RawGradient`].
    RawGradient,
    /// [`Lagrangian`].
    Lagrangian,
    /// Entries moved in groups, counted in score.
    Polish,
    /// [`Corners`].
    Corners,
    /// [`MonteCarlo`].
    MonteCarlo,
}

impl LegKind {
    /// The name, as documents spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apgd => "apgd",
            Self::Momentum => "momentum",
            Self::RawGradient => "raw-gradient",
            Self::Lagrangian => "lagrangian",
            Self::Polish => "polish",
            Self::Corners => "corners",
            Self::MonteCarlo => "monte-carlo",
        }
    }
}

/// One leg of the automatic search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// Its kind.
    pub kind: LegKind,
    /// Number of the surrogate loss that it lowers.
    pub surrogate: usize,
    /// The leg whose lowest point it begins from; without it, it begins from the clean network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Lowest score of an admissible deviation that it met.
    pub score: f64,
    /// Lowest loss that it met.
    pub loss: f64,
    /// Its evaluations.
    pub evaluations: u64,
}

/// Where the automatic search stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    /// All legs; the last one is under way.
    pub(super) legs: Vec<Leg>,
    /// The lowest points of the legs from which others may begin.
    tips: BTreeMap<usize, Tip>,
    /// Evaluations since the leg last lowered its score.
    idle: usize,
    /// Number of the first leg that small boxes have on top of the budget.
    extra: Option<usize>,
}

/// The lowest point of a leg.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tip {
    score: f64,
    #[serde(with = "bits")]
    deviations: Deviations,
}

/// Most points from which other legs begin.
const TIPS: usize = 4;
/// A longer walk ends after its first evaluations if its score is above this many times the lowest score.
const FAR: f64 = 1.5;
/// Boxes of fewer entries are searched by every method in full.
const SMALL: usize = 1000;
/// How many evaluations without a gradient cost as much as one with a gradient.
const FORWARD: u64 = 3;

impl Plan {
    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        let mut tips = self.tips.iter();
        let earlier = |(number, leg): (usize, &Leg)| leg.from.is_none_or(|from| from < number);
        !self.legs.is_empty()
            && self.legs.iter().enumerate().all(earlier)
            && tips.all(|(leg, tip)| *leg < self.legs.len() && bounds.contain(&tip.deviations))
    }

    /// Whether this leg comes on top of the budget.
    fn is_extra(&self, leg: usize) -> bool {
        self.extra.is_some_and(|first| leg >= first)
    }

    /// Begins a leg.
    fn begin(&mut self, kind: LegKind, surrogate: usize, from: Option<usize>) {
        self.idle = 0;
        self.legs.push(Leg {
            kind,
            surrogate,
            from,
            score: f64::MAX,
            loss: f64::MAX,
            evaluations: 0,
        });
    }

    /// The leg under way, with its number.
    fn leg(&mut self) -> (usize, &mut Leg) {
        let number = self.legs.len() - 1;
        (number, &mut self.legs[number])
    }

    /// Score of the point from which the current leg began; `None` for the clean network.
    fn start(&self) -> Option<f64> {
        let from = self.legs.last()?.from?;
        Some(self.legs[from].score)
    }

    /// How many longer walks of this kind with this surrogate ended below their start, minus the number that did not. A walk
    /// from the clean network must end below all of the `first` walks.
    fn score(&self, kind: LegKind, surrogate: usize, first: usize) -> i64 {
        let (walks, longer) = self.legs.split_at(first.min(self.legs.len()));
        let lowest = walks.iter().map(|leg| leg.score).fold(f64::MAX, f64::min);
        let like = longer
            .iter()
            .filter(|leg| (leg.kind, leg.surrogate) == (kind, surrogate));
        let start = |leg: &Leg| leg.from.map_or(lowest, |from| self.legs[from].score);
        like.map(|leg| if leg.score < start(leg) { 1 } else { -1 })
            .sum()
    }

    /// The leg from the clean network that `leg` goes back to.
    fn root(&self, mut leg: usize) -> usize {
        while let Some(from) = self.legs[leg].from {
            leg = from;
        }
        leg
    }

    /// Keeps what the evaluation of `current` gave.
    fn note(&mut self, current: &Deviations, judged: Judged, inside: bool) {
        let start = self.start();
        let (number, leg) = self.leg();
        leg.evaluations += 1;
        let lower = inside && judged.score < leg.score;
        // The point where a leg began belongs to another leg.
        let tip = lower && start.is_none_or(|start| judged.score < start);
        if lower {
            leg.score = judged.score;
        }
        if judged.loss < leg.loss {
            leg.loss = judged.loss;
        }
        self.idle = if lower { 0 } else { self.idle + 1 };
        if tip {
            self.tips.insert(
                number,
                Tip {
                    score: judged.score,
                    deviations: current.clone(),
                },
            );
        }
        // Keep the current leg, whose point may still fall, and the leg that it began from.
        let from = self.legs[number].from;
        let ranked = self.ranked();
        let kept = |leg: &usize| *leg == number || Some(*leg) == from || ranked.contains(leg);
        self.tips.retain(|leg, _| kept(leg));
    }

    /// The points from which other legs begin: the lowest point of every root, in rising order.
    fn ranked(&self) -> Vec<usize> {
        let mut legs: Vec<usize> = self.tips.keys().copied().collect();
        legs.sort_by(|a, b| self.tips[a].score.total_cmp(&self.tips[b].score));
        let mut roots = Vec::new();
        legs.retain(|leg| {
            let root = self.root(*leg);
            let fresh = !roots.contains(&root);
            roots.push(root);
            fresh
        });
        legs.truncate(TIPS);
        legs
    }
}

impl Auto {
    /// Evaluations of the short walk by each of `count` surrogates: a quarter of the budget, at most eight each.
    fn short(&self, count: usize) -> usize {
        (self.budget / (4 * count.max(1))).clamp(2, 8)
    }

    /// Evaluations that a longer walk may take without lowering its score.
    fn patience(&self) -> usize {
        (self.budget / 20).max(4)
    }

    /// The first evaluations of a longer walk, which need not lower anything. The walk begins where another search ended,
    /// often in a corner of the box that it has to leave first.
    fn grace(&self) -> usize {
        (self.budget / 12).max(4)
    }

    /// The most evaluations of a longer walk.
    fn long(&self) -> usize {
        (self.budget / 4).max(4)
    }

    /// Passes that are left for the polish.
    fn polish(&self) -> usize {
        self.budget / 12
    }

    /// The most evaluations in a box of `entries`.
    pub(super) fn evaluations(&self, entries: usize, surrogates: Surrogates) -> usize {
        // A pass is three evaluations if none of them takes a gradient.
        let forward = (FORWARD as usize - 1) * (self.polish() + self.long());
        let within = self.budget.saturating_add(forward);
        if entries >= SMALL {
            return within;
        }
        let walks = 3 * self.budget.saturating_add(1) + Lagrangian::default().evaluations();
        within
            .saturating_add(walks.saturating_mul(surrogates.count()))
            .saturating_add(self.budget.saturating_mul(2))
    }

    /// Whether another evaluation, with a gradient or without, is within the budget less `reserve` passes.
    fn allows(&self, state: &SearchState, gradient: bool, reserve: usize) -> bool {
        let cost = if gradient { FORWARD } else { 1 };
        let budget = FORWARD * self.budget.saturating_sub(reserve) as u64;
        let forward = state.evaluations - state.gradients;
        FORWARD * state.gradients + forward + cost <= budget
    }

    /// The walk of `kind` as a search of its own with the whole budget.
    fn whole(&self, kind: LegKind) -> Option<Walk> {
        let steps = self.budget;
        Some(match kind {
            LegKind::Apgd => Walk::Apgd(Apgd {
                steps,
                ..Apgd::default()
            }),
            LegKind::Momentum => Walk::Momentum(Momentum {
                steps,
                ..Momentum::default()
            }),
            LegKind::RawGradient => Walk::RawGradient(RawGradient {
                steps,
                ..RawGradient::default()
            }),
            _ => return None,
        })
    }

    /// How the walk of `kind` moves. It is one of the `first` walks, begins at one of them (`young`), or begins at a longer
    /// walk.
    fn walk(&self, kind: LegKind, first: bool, young: bool) -> Option<Walk> {
        Some(match kind {
            LegKind::Apgd if first => Walk::Apgd(Apgd {
                steps: 12,
                ..Apgd::default()
            }),
            LegKind::Apgd => Walk::Apgd(Apgd {
                steps: self.long(),
                step: 1.0,
            }),
            LegKind::Momentum => Walk::Momentum(Momentum {
                steps: self.long(),
                step: if young { 0.3 } else { 0.15 },
                ..Momentum::default()
            }),
            LegKind::RawGradient => Walk::RawGradient(RawGradient {
                steps: self.long(),
                ..RawGradient::default()
            }),
            _ => return None,
        })
    }

    /// The Lagrangian search of one leg, in full or as a longer walk.
    fn lagrangian(&self, extra: bool) -> Lagrangian {
        match extra {
            true => Lagrangian::default(),
            false => Lagrangian {
                steps: self.patience(),
                rounds: 3,
                ..Lagrangian::default()
            },
        }
    }

    /// Whether the evaluation that comes next takes a gradient.
    pub(super) fn wants_gradient(&self, state: &SearchState, surrogates: Surrogates) -> bool {
        let Some(plan) = &state.plan else {
            return true;
        };
        let number = plan.legs.len() - 1;
        let (leg, extra) = (&plan.legs[number], plan.is_extra(number));
        let (done, count) = (leg.evaluations as usize, surrogates.count());
        match leg.kind {
            LegKind::Corners | LegKind::MonteCarlo => false,
            LegKind::Polish => !matches!(state.memory, Some(Memory::Polish(_))),
            LegKind::Lagrangian => self.lagrangian(extra).wants_gradient(state),
            LegKind::Apgd | LegKind::Momentum | LegKind::RawGradient if extra => done < self.budget,
            LegKind::Apgd | LegKind::Momentum | LegKind::RawGradient => {
                number >= count || done + 1 < self.short(count)
            }
        }
    }

    /// Advances `state` after its current deviation has been evaluated.
    pub(super) fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        seed: u64,
        surrogates: Surrogates,
        judged: Judged,
        gradient: Option<&Deviations>,
    ) -> Next {
        let mut plan = state.plan.take().unwrap_or_else(|| {
            let mut plan = Plan {
                legs: Vec::new(),
                tips: BTreeMap::new(),
                idle: 0,
                extra: None,
            };
            plan.begin(LegKind::Apgd, 0, None);
            plan
        });
        plan.note(&state.current, judged, bounds.contain(&state.current));
        let next = if state.best.score == 0.0 {
            Next::End
        } else if self.go_on(state, &mut plan, bounds, seed, surrogates, judged, gradient) {
            Next::Evaluate
        } else if self.turn(state, &mut plan, bounds, seed, surrogates) {
            Next::Begin
        } else {
            Next::End
        };
        state.plan = Some(plan);
        next
    }

    /// Advances within the current leg. Returns whether the leg goes on.
    #[expect(clippy::too_many_arguments, reason = "what one evaluation gave")]
    fn go_on(
        &self,
        state: &mut SearchState,
        plan: &mut Plan,
        bounds: &DeviationBounds,
        seed: u64,
        surrogates: Surrogates,
        judged: Judged,
        gradient: Option<&Deviations>,
    ) -> bool {
        let (number, leg) = plan.leg();
        let leg = *leg;
        let extra = plan.is_extra(number);
        let (done, first) = (leg.evaluations as usize, number < surrogates.count());
        match leg.kind {
            LegKind::Corners | LegKind::MonteCarlo => {
                if done >= self.budget {
                    return false;
                }
                state.current = draw(leg.kind, bounds, ChipSeed::new(seed, done as u64));
                true
            }
            LegKind::Polish => {
                match (&mut state.memory, gradient) {
                    (Some(Memory::Polish(polish)), _) => {
                        polish.decide(&state.current, judged.score, judged.loss);
                    }
                    (memory, Some(gradient)) => {
                        let at = (judged.score, judged.loss);
                        let polish = Polish::new(bounds, &state.current, at, gradient);
                        *memory = Some(Memory::Polish(polish));
                    }
                    (_, None) => return false,
                }
                let Some(Memory::Polish(polish)) = &state.memory else {
                    return false;
                };
                let proposed = polish.propose(bounds);
                match proposed {
                    Some(proposed) if self.allows(state, false, 0) => {
                        state.current = proposed;
                        true
                    }
                    _ => false,
                }
            }
            LegKind::Lagrangian => {
                let start = leg.from.and_then(|from| plan.tips.get(&from));
                let start = start.map_or_else(|| bounds.zero(), |tip| tip.deviations.clone());
                let search = self.lagrangian(extra);
                let next = search.advance(state, bounds, gradient, |_| start.clone());
                matches!(next, Next::Evaluate) && (extra || self.allows(state, true, self.polish()))
            }
            LegKind::Apgd | LegKind::Momentum | LegKind::RawGradient if extra => {
                let (Some(walk), Some(gradient)) = (self.whole(leg.kind), gradient) else {
                    return false;
                };
                walk.step(
                    &mut state.memory,
                    bounds,
                    &mut state.current,
                    judged,
                    gradient,
                );
                true
            }
            LegKind::Apgd | LegKind::Momentum | LegKind::RawGradient => {
                let over = match first {
                    true => done >= self.short(surrogates.count()),
                    false => {
                        let idle =
                            plan.idle >= self.patience() || leg.score > FAR * state.best.score;
                        done > self.grace() && idle || done >= self.long()
                    }
                };
                let young = leg.from.is_some_and(|from| from < surrogates.count());
                let walk = self.walk(leg.kind, first, young);
                let (Some(walk), Some(gradient)) = (walk, gradient) else {
                    return false;
                };
                if over || !self.allows(state, true, self.polish()) {
                    return false;
                }
                walk.step(
                    &mut state.memory,
                    bounds,
                    &mut state.current,
                    judged,
                    gradient,
                );
                true
            }
        }
    }

    /// Begins the next leg. Returns whether there is one.
    fn turn(
        &self,
        state: &mut SearchState,
        plan: &mut Plan,
        bounds: &DeviationBounds,
        seed: u64,
        surrogates: Surrogates,
    ) -> bool {
        let Some((kind, surrogate, from)) = self.choose(state, plan, bounds, surrogates) else {
            return false;
        };
        let start = from.and_then(|from| plan.tips.get(&from));
        state.current = match (kind, start) {
            (LegKind::Corners | LegKind::MonteCarlo, _) => {
                draw(kind, bounds, ChipSeed::new(seed, 0))
            }
            (LegKind::Polish, _) => state.best.deviations.clone(),
            (_, Some(tip)) => tip.deviations.clone(),
            (_, None) => bounds.zero(),
        };
        plan.begin(kind, surrogate, from);
        state.surrogate = surrogate;
        true
    }

    fn choose(
        &self,
        state: &SearchState,
        plan: &mut Plan,
        bounds: &DeviationBounds,
        surrogates: Surrogates,
    ) -> Option<(LegKind, usize, Option<usize>)> {
        let kinds_so_far: Vec<LegKind> = plan.legs.iter().map(|leg| leg.kind).collect();
        let begun = |kind| kinds_so_far.contains(&kind);
        if plan.extra.is_none() && !begun(LegKind::Polish) {
            if self.allows(state, true, self.polish()) {
                if plan.legs.len() < surrogates.count() {
                    return Some((LegKind::Apgd, plan.legs.len(), None));
                }
                if let Some(next) = self.follow(plan, surrogates) {
                    return Some(next);
                }
            }
            // The gradient that orders the moves is a pass.
            if self.allows(state, true, 0) {
                return Some((LegKind::Polish, 0, Some(state.best.restart)));
            }
        }
        if bounds.entries() >= SMALL {
            return None;
        }
        let kinds = [
            LegKind::Apgd,
            LegKind::Momentum,
            LegKind::RawGradient,
            LegKind::Lagrangian,
        ];
        let done = plan.legs.len() - *plan.extra.get_or_insert(plan.legs.len());
        match done / kinds.len() {
            surrogate if surrogate < surrogates.count() => {
                Some((kinds[done % kinds.len()], surrogate, None))
            }
            _ if !begun(LegKind::Corners) => Some((LegKind::Corners, 0, None)),
            _ if !begun(LegKind::MonteCarlo) => Some((LegKind::MonteCarlo, 0, None)),
            _ => None,
        }
    }

    /// The next longer walk: the most successful kinds first, from the lowest points first.
    fn follow(
        &self,
        plan: &Plan,
        surrogates: Surrogates,
    ) -> Option<(LegKind, usize, Option<usize>)> {
        let kinds = [
            (LegKind::Momentum, 0),
            (LegKind::Momentum, 1),
            (LegKind::Apgd, 0),
            (LegKind::RawGradient, 1),
            (LegKind::Momentum, 2),
            (LegKind::Lagrangian, 0),
            (LegKind::RawGradient, 2),
            (LegKind::Apgd, 1),
            (LegKind::Momentum, 3),
        ];
        let first = surrogates.count();
        if plan.legs.len() == first {
            return Some((LegKind::Momentum, 1.min(surrogates.general - 1), None));
        }
        let mut kinds: Vec<(LegKind, usize)> = kinds
            .into_iter()
            .filter(|(_, surrogate)| *surrogate < surrogates.general)
            .collect();
        // Kinds with one score keep their order.
        kinds.sort_by_key(|(kind, surrogate)| -plan.score(*kind, *surrogate, first));
        let tips = plan.ranked();
        let done = |kind, surrogate, from| {
            let walk = (kind, surrogate, Some(from));
            let mut legs = plan.legs.iter();
            legs.any(|leg| (leg.kind, leg.surrogate, leg.from) == walk)
        };
        for turn in 0..kinds.len() + tips.len() {
            for (rank, &(kind, surrogate)) in kinds.iter().enumerate().take(turn + 1) {
                let Some(&from) = tips.get(turn - rank) else {
                    continue;
                };
                if !done(kind, surrogate, from) {
                    return Some((kind, surrogate, Some(from)));
                }
            }
        }
        None
    }
}

fn draw(kind: LegKind, bounds: &DeviationBounds, chip: ChipSeed) -> Deviations {
    match kind {
        LegKind::Corners => Corners::draw(bounds, chip),
        _ => MonteCarlo::draw(bounds, chip),
    }
}
