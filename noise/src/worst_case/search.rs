//! The searches, and the loop that they share.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::walk::Walk;
use super::{
    Apgd, Auto, Corners, DeviationBounds, Deviations, Judged, Lagrangian, Momentum, MonteCarlo,
    Objective, RawGradient, SearchState, SignGradient, SingleStep, Surrogates, WorstCase,
};
use crate::{ChipSeed, NoiseError};

/// How to look for the worst deviation. In TOML a table that is strict about its keys:
///
/// ```toml
/// method = "auto"
/// budget = 200
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum Search {
    /// Several other searches in turn, with every surrogate: the default.
    Auto(Auto),
    /// Steps that adapt their own size.
    Apgd(Apgd),
    /// Steps against the sign of a mean of gradients.
    Momentum(Momentum),
    /// Steps along the gradient itself.
    RawGradient(RawGradient),
    /// Steps against the sign of the gradient.
    #[serde(rename = "sign")]
    SignGradient(SignGradient),
    /// Loss and size of the deviation together, with a binary search over the weight of the loss.
    Lagrangian(Lagrangian),
    /// One step to the corner that the gradient of the clean network points to.
    SingleStep(SingleStep),
    /// Random corners of the box.
    Corners(Corners),
    /// Random chips inside the box.
    MonteCarlo(MonteCarlo),
}

impl Default for Search {
    fn default() -> Self {
        Self::Auto(Auto::default())
    }
}

/// The next action of a search after an evaluation.
pub(super) enum Next {
    /// The current deviation has moved: evaluate it.
    Evaluate,
    /// A leg of the automatic search begins: evaluate its first deviation.
    Begin,
    /// This restart is over.
    End,
}

impl Search {
    /// The name, as configurations spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auto(_) => "auto",
            Self::Apgd(_) => "apgd",
            Self::Momentum(_) => "momentum",
            Self::RawGradient(_) => "raw-gradient",
            Self::SignGradient(_) => "sign",
            Self::Lagrangian(_) => "lagrangian",
            Self::SingleStep(_) => "single-step",
            Self::Corners(_) => "corners",
            Self::MonteCarlo(_) => "monte-carlo",
        }
    }

    /// The same search, if its settings are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Search`].
    pub fn check(self) -> Result<Self, NoiseError> {
        let counts = match self {
            Self::Auto(search) => vec![("budget", search.budget)],
            Self::Apgd(_) | Self::Momentum(_) | Self::RawGradient(_) => {
                vec![("steps", self.walk().map_or(0, Walk::steps))]
            }
            Self::SignGradient(search) => search.counts().to_vec(),
            Self::Lagrangian(search) => search.counts().to_vec(),
            Self::SingleStep(_) => Vec::new(),
            Self::Corners(search) => vec![("draws", search.draws)],
            Self::MonteCarlo(search) => vec![("draws", search.draws)],
        };
        let zero = counts.into_iter().find(|(_, count)| *count == 0);
        let wrong = match (zero, self) {
            (Some((key, _)), _) => Some((key, 0.0, "a whole number above 0")),
            (None, Self::Lagrangian(search)) => search.wrong(),
            (None, _) => self.walk().and_then(Walk::wrong),
        };
        match wrong {
            None => Ok(self),
            Some((key, value, remedy)) => Err(NoiseError::Search {
                search: self.name(),
                key,
                value,
                remedy,
            }),
        }
    }

    /// The largest number of evaluations in a box of `entries`, for an objective with these `surrogates`, including that of
    /// the clean network.
    pub fn most_evaluations(&self, entries: usize, surrogates: Surrogates) -> u64 {
        let count = match self {
            Self::Auto(search) => search.evaluations(entries, surrogates),
            Self::Apgd(_) | Self::Momentum(_) | Self::RawGradient(_) => {
                self.walk().map_or(0, Walk::steps).saturating_add(1)
            }
            Self::SignGradient(search) => search.evaluations(),
            Self::Lagrangian(search) => search.evaluations(),
            Self::SingleStep(_) => 2,
            Self::Corners(search) => search.draws.saturating_add(1),
            Self::MonteCarlo(search) => search.draws.saturating_add(1),
        };
        count as u64
    }

    fn restarts(&self) -> usize {
        match self {
            Self::SignGradient(search) => search.restarts,
            Self::Lagrangian(search) => search.restarts,
            _ => 1,
        }
    }

    /// The walk, if this search is one.
    fn walk(&self) -> Option<Walk> {
        match *self {
            Self::Apgd(search) => Some(Walk::Apgd(search)),
            Self::Momentum(search) => Some(Walk::Momentum(search)),
            Self::RawGradient(search) => Some(Walk::RawGradient(search)),
            _ => None,
        }
    }

    /// Whether the evaluation that comes next needs a gradient.
    fn wants_gradient(&self, state: &SearchState, surrogates: Surrogates) -> bool {
        match self {
            Self::Auto(search) => search.wants_gradient(state, surrogates),
            Self::Apgd(_) | Self::Momentum(_) | Self::RawGradient(_) => {
                state.iteration < self.walk().map_or(0, Walk::steps)
            }
            Self::SignGradient(search) => search.wants_gradient(state),
            Self::Lagrangian(search) => search.wants_gradient(state),
            Self::SingleStep(_) | Self::Corners(_) | Self::MonteCarlo(_) => false,
        }
    }

    /// Advances `state` after its current deviation has been evaluated.
    fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        seed: u64,
        surrogates: Surrogates,
        (judged, gradient): (Judged, Option<&Deviations>),
    ) {
        let start = |restart: usize| match restart {
            0 => bounds.zero(),
            _ => bounds.random(ChipSeed::new(seed, restart as u64)),
        };
        let next = match self {
            Self::Auto(search) => search.advance(state, bounds, seed, surrogates, judged, gradient),
            Self::Apgd(_) | Self::Momentum(_) | Self::RawGradient(_) => {
                match (self.walk(), gradient) {
                    (Some(walk), Some(gradient)) => {
                        let SearchState {
                            memory, current, ..
                        } = state;
                        walk.step(memory, bounds, current, judged, gradient);
                        Next::Evaluate
                    }
                    _ => Next::End,
                }
            }
            Self::SignGradient(search) => search.advance(state, bounds, seed, gradient),
            Self::Lagrangian(search) => search.advance(state, bounds, gradient, start),
            Self::SingleStep(search) => search.advance(state, bounds, gradient),
            Self::Corners(search) => search.advance(state, bounds, seed),
            Self::MonteCarlo(search) => search.advance(state, bounds, seed),
        };
        match next {
            Next::Evaluate => state.iteration += 1,
            Next::Begin => {
                state.restart += 1;
                state.iteration = 0;
                state.memory = None;
            }
            Next::End if state.restart + 1 < self.restarts() => {
                state.restart += 1;
                state.iteration = 0;
                state.memory = None;
                state.current = start(state.restart);
            }
            Next::End => state.finished = true,
        }
    }
}

/// Searches for the deviation in `bounds` with the lowest score of `objective`.
///
/// The first evaluation is that of the clean network. `observer` is called after every evaluation and may stop the search. A
/// later call continues from the last state that the observer saw, given as `state`. Between two deviations with one score,
/// the one with the lower loss is kept.
///
/// The [module](super) says what is guaranteed.
///
/// # Errors
/// [`NoiseError::Search`] for settings that are not allowed, [`NoiseError::NotFinite`] for a loss or a gradient that is not
/// finite, [`NoiseError::OtherWeights`] for a gradient of other weights, [`NoiseError::OtherState`] for a state of another
/// box, and the errors of the objective.
///
/// ```
/// use std::convert::Infallible;
/// use std::ops::ControlFlow;
///
/// use crossburn_noise::NoiseError;
/// use crossburn_noise::worst_case::{
///     Deviations, DeviationBounds, EntryBounds, Judged, Objective, Search, worst_case,
/// };
///
/// /// One item that is right while `1 + d_0 - 2 d_1` is positive.
/// struct Line;
///
/// impl Objective for Line {
///     type Error = NoiseError;
///
///     fn judge(&self, deviations: &Deviations, _surrogate: usize) -> Result<Judged, NoiseError> {
///         let d = &deviations["w"];
///         let loss = f64::from(1.0 + d[0] - 2.0 * d[1]);
///         Ok(Judged { loss, score: f64::from(u8::from(loss > 0.0)) })
///     }
///
///     fn gradient(&self, d: &Deviations, surrogate: usize) -> Result<(Judged, Deviations), NoiseError> {
///         Ok((self.judge(d, surrogate)?, [("w".to_string(), vec![1.0, -2.0])].into()))
///     }
/// }
///
/// let entries = EntryBounds { low: vec![-0.5; 2], high: vec![0.5; 2] };
/// let bounds = DeviationBounds::from_boxes([("w".to_string(), entries)].into())?;
/// let found = worst_case(&Line, &bounds, &Search::default(), 7, None, |_| ControlFlow::Continue(()))?;
/// assert_eq!((found.clean, found.score), (1.0, 0.0));
/// assert_eq!(found.deviations["w"], [-0.5, 0.5]);
/// # Ok::<(), NoiseError>(())
/// ```
pub fn worst_case<O: Objective>(
    objective: &O,
    bounds: &DeviationBounds,
    search: &Search,
    seed: u64,
    state: Option<SearchState>,
    mut observer: impl FnMut(&SearchState) -> ControlFlow<()>,
) -> Result<WorstCase, O::Error> {
    let search = search.check()?;
    let surrogates = objective.surrogates();
    let mut flow = ControlFlow::Continue(());
    let mut state = match state {
        Some(state) if state.fits(bounds) && state.surrogate < surrogates.count() => state,
        Some(_) => return Err(NoiseError::OtherState.into()),
        None => {
            let (clean, gradient) = objective.gradient(&bounds.zero(), 0)?;
            check(bounds, clean, Some(&gradient), (0, 0))?;
            let mut state = SearchState::new(bounds, clean, &gradient);
            let found = (clean, Some(&gradient));
            search.advance(&mut state, bounds, seed, surrogates, found);
            flow = observer(&state);
            state
        }
    };
    while flow.is_continue() && !state.finished {
        let (judged, gradient) = match search.wants_gradient(&state, surrogates) {
            true => {
                let (judged, gradient) = objective.gradient(&state.current, state.surrogate)?;
                (judged, Some(gradient))
            }
            false => (objective.judge(&state.current, state.surrogate)?, None),
        };
        let gradient = gradient.as_ref();
        check(bounds, judged, gradient, (state.restart, state.iteration))?;
        state.record(bounds, judged, gradient.is_some());
        search.advance(&mut state, bounds, seed, surrogates, (judged, gradient));
        flow = observer(&state);
    }
    Ok(WorstCase::of(&state, bounds))
}

/// Refuses values that are not finite, and gradients of other weights.
fn check(
    bounds: &DeviationBounds,
    judged: Judged,
    gradient: Option<&Deviations>,
    (restart, iteration): (usize, usize),
) -> Result<(), NoiseError> {
    let not_finite = |what: String| NoiseError::NotFinite {
        what,
        restart,
        iteration,
    };
    if !judged.loss.is_finite() {
        return Err(not_finite("loss".to_string()));
    }
    let Some(gradient) = gradient else {
        return Ok(());
    };
    for (path, entries) in bounds.weights() {
        let found = gradient.get(path).map_or(0, Vec::len);
        if found != entries.low.len() {
            return Err(NoiseError::OtherWeights {
                path: path.clone(),
                expected: entries.low.len(),
                found,
            });
        }
    }
    let broken = gradient
        .iter()
        .find(|(_, values)| values.iter().any(|value| !value.is_finite()));
    match broken {
        Some((path, _)) => Err(not_finite(format!("gradient of `{path}`"))),
        None => Ok(()),
    }
}
