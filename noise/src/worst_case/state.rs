//! The state of a search, from which it continues after an interruption.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::apgd::Descent;
use super::auto::Plan;
use super::lagrangian::Multiplier;
use super::momentum::Velocity;
use super::polish::Polish;
use super::raw_gradient::Hidden;
use super::{DeviationBounds, Deviations, Judged, Leg};

/// One evaluation of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathPoint {
    /// Restart, from 0.
    pub restart: usize,
    /// Iteration of the restart, from 0; the number of the draw, from 1, in random searches.
    pub iteration: usize,
    /// Surrogate loss per item.
    pub loss: f64,
    /// The score.
    pub score: f64,
    /// Share of the entries at an end of their box.
    pub fraction_at_bound: f64,
    /// Whether the deviation is admissible; only then it counts. The Lagrangian search also passes through others.
    pub inside: bool,
}

/// A search between two evaluations. A search that continues from its state makes the same evaluations and gives the same
/// bytes as an uninterrupted one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchState {
    /// Evaluations of the objective so far.
    pub evaluations: u64,
    /// How many of them took a gradient.
    pub gradients: u64,
    /// Restart, from 0.
    pub restart: usize,
    /// The next iteration of the restart.
    pub iteration: usize,
    /// Whether nothing is left to do.
    pub finished: bool,
    /// Every evaluation.
    pub path: Vec<PathPoint>,
    /// The lowest score of an admissible deviation; between equal scores, the one with the lower loss.
    pub(super) best: Best,
    /// First-order change of the loss by weight, see [`LayerSensitivity`](super::LayerSensitivity).
    pub(super) first_order: BTreeMap<String, f64>,
    /// The deviation that is evaluated next.
    #[serde(with = "bits")]
    pub(super) current: Deviations,
    /// The surrogate of the next evaluation.
    pub(super) surrogate: usize,
    /// The memory of earlier iterations of this restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<Memory>,
    /// The state of the automatic search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<Plan>,
}

/// The memory of a search between two evaluations of one restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Memory {
    Multiplier(Multiplier),
    Descent(Descent),
    Velocity(Velocity),
    Hidden(Hidden),
    Polish(Polish),
}

impl Memory {
    fn fits(&self, bounds: &DeviationBounds) -> bool {
        match self {
            Self::Multiplier(memory) => memory.fits(bounds),
            Self::Descent(memory) => memory.fits(bounds),
            Self::Velocity(memory) => memory.fits(bounds),
            Self::Hidden(memory) => memory.fits(bounds),
            Self::Polish(memory) => memory.fits(bounds),
        }
    }
}

/// The worst admissible deviation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Best {
    pub(super) surrogate: usize,
    pub(super) restart: usize,
    pub(super) iteration: usize,
    pub(super) loss: f64,
    pub(super) score: f64,
    #[serde(with = "bits")]
    pub(super) deviations: Deviations,
}

impl SearchState {
    /// The state after the evaluation of the clean network.
    pub(super) fn new(bounds: &DeviationBounds, clean: Judged, gradient: &Deviations) -> Self {
        Self {
            evaluations: 1,
            gradients: 1,
            restart: 0,
            iteration: 0,
            finished: false,
            path: vec![PathPoint {
                restart: 0,
                iteration: 0,
                loss: clean.loss,
                score: clean.score,
                fraction_at_bound: 0.0,
                inside: true,
            }],
            best: Best {
                surrogate: 0,
                restart: 0,
                iteration: 0,
                loss: clean.loss,
                score: clean.score,
                deviations: bounds.zero(),
            },
            first_order: first_order(bounds, gradient),
            current: bounds.zero(),
            surrogate: 0,
            memory: None,
            plan: None,
        }
    }

    /// The score of the worst admissible deviation so far.
    pub fn worst(&self) -> f64 {
        self.best.score
    }

    /// The legs of the automatic search so far, the current one last; empty for any other search.
    pub fn legs(&self) -> &[Leg] {
        self.plan.as_ref().map_or(&[], |plan| &plan.legs)
    }

    /// Records the evaluation of the current deviation.
    pub(super) fn record(&mut self, bounds: &DeviationBounds, judged: Judged, gradient: bool) {
        let inside = bounds.contain(&self.current);
        self.evaluations += 1;
        self.gradients += u64::from(gradient);
        self.path.push(PathPoint {
            restart: self.restart,
            iteration: self.iteration,
            loss: judged.loss,
            score: judged.score,
            fraction_at_bound: bounds.fraction_at_bound(&self.current),
            inside,
        });
        // Losses of two surrogates cannot be compared.
        let lower = judged.score < self.best.score
            || judged.score == self.best.score
                && self.surrogate == self.best.surrogate
                && judged.loss < self.best.loss;
        if inside && lower {
            self.best = Best {
                surrogate: self.surrogate,
                restart: self.restart,
                iteration: self.iteration,
                loss: judged.loss,
                score: judged.score,
                deviations: self.current.clone(),
            };
        }
    }

    /// Whether this can be the state of a search in `bounds`.
    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        let (memory, plan) = (self.memory.as_ref(), self.plan.as_ref());
        bounds.fit(&self.current)
            && bounds.contain(&self.best.deviations)
            && memory.is_none_or(|memory| memory.fits(bounds))
            && plan.is_none_or(|plan| plan.fits(bounds))
            && self.first_order.keys().eq(bounds.weights().keys())
    }
}

/// `Σ_i max_{d in box_i} -gradient_i d` by weight.
fn first_order(bounds: &DeviationBounds, gradient: &Deviations) -> BTreeMap<String, f64> {
    let sum = |(path, entries): (&String, &super::EntryBounds)| {
        let ends = entries.low.iter().zip(&entries.high);
        let terms = gradient[path].iter().zip(ends).map(|(g, (low, high))| {
            let end = if *g > 0.0 { low } else { high };
            -f64::from(*g) * f64::from(*end)
        });
        // Not `sum`, whose zero is negative.
        (path.clone(), terms.fold(0.0, |sum, term| sum + term))
    };
    bounds.weights().iter().map(sum).collect()
}

/// Floats as the hexadecimal digits of their bits: exact, and half as long as decimal ones.
pub(super) mod bits {
    use std::collections::BTreeMap;
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::worst_case::Deviations;

    const DIGITS: usize = 8;

    pub(in crate::worst_case) fn serialize<S: Serializer>(
        deviations: &Deviations,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = |values: &Vec<f32>| {
            let mut text = String::with_capacity(DIGITS * values.len());
            for value in values {
                // Writing to a string cannot fail.
                let _ = write!(text, "{:08x}", value.to_bits());
            }
            text
        };
        let texts: BTreeMap<&String, String> = deviations
            .iter()
            .map(|(path, values)| (path, text(values)))
            .collect();
        texts.serialize(serializer)
    }

    pub(in crate::worst_case) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Deviations, D::Error> {
        let values = |(path, text): (String, String)| {
            let value = |digits: &[u8]| {
                let digits = std::str::from_utf8(digits).ok()?;
                Some(f32::from_bits(u32::from_str_radix(digits, 16).ok()?))
            };
            let (digits, rest) = text.as_bytes().as_chunks::<DIGITS>();
            let values: Option<Vec<f32>> = digits.iter().map(|d| value(d)).collect();
            match values {
                Some(values) if rest.is_empty() => Ok((path, values)),
                _ => Err(D::Error::custom(format!(
                    "`{path}` does not hold floats of {DIGITS} hexadecimal digits"
                ))),
            }
        };
        BTreeMap::<String, String>::deserialize(deserializer)?
            .into_iter()
            .map(values)
            .collect()
    }
}
