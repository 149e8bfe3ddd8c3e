//! What must hold between the choices of a design.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::axis::Choice;
use super::space::{Design, Space};

/// What must hold between the choices of a design.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Constraint {
    /// The numbers of an axis add up to at most a limit.
    Sum {
        /// The axis.
        axis: String,
        /// The limit.
        at_most: f64,
    },
    /// No number of an axis is below the one before it.
    Rising {
        /// The axis.
        axis: String,
    },
    /// No number of one axis is above any of another, such as bits of a cell and bits of a weight.
    Order {
        /// The axis of the smaller numbers.
        smaller: String,
        /// The axis of the larger numbers.
        larger: String,
    },
    /// These choices are not made together; an axis of several positions counts where any of them has the choice.
    Forbid {
        /// One choice for each of these axes.
        choices: BTreeMap<String, Choice>,
    },
}

impl Constraint {
    /// Whether the axes that it names are there and have what it needs.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn fits(&self, space: &Space) -> Result<(), String> {
        let numbers = |name: &str| {
            let axis = space.axis(name);
            let axis = axis.ok_or_else(|| format!("a constraint names the axis `{name}`"))?;
            match axis.choices.iter().all(|choice| choice.number().is_some()) {
                true => Ok(()),
                false => Err(format!(
                    "a constraint compares the words of the axis `{name}`"
                )),
            }
        };
        match self {
            Self::Sum { axis, at_most } if at_most.is_finite() => numbers(axis),
            Self::Sum { axis, at_most } => Err(format!("the sum of `{axis}` is at most {at_most}")),
            Self::Rising { axis } => numbers(axis),
            Self::Order { smaller, larger } => numbers(smaller).and_then(|()| numbers(larger)),
            Self::Forbid { choices } if choices.is_empty() => {
                Err("a constraint forbids nothing".to_string())
            }
            Self::Forbid { choices } => choices.iter().try_for_each(|(name, choice)| {
                let axis = space.axis(name);
                let axis = axis.ok_or_else(|| format!("a constraint names the axis `{name}`"))?;
                match axis.position_of(choice) {
                    Some(_) => Ok(()),
                    None => Err(format!(
                        "a constraint forbids {choice} of `{name}`, which is no choice of it"
                    )),
                }
            }),
        }
    }

    /// Whether `design` keeps it.
    ///
    /// # Errors
    /// What it breaks, in words.
    pub(super) fn check(&self, space: &Space, design: &Design) -> Result<(), String> {
        let numbers = |name: &str| -> Vec<f64> {
            let chosen = space.chosen(design, name).unwrap_or_default();
            chosen.into_iter().filter_map(Choice::number).collect()
        };
        match self {
            Self::Sum { axis, at_most } => {
                let sum: f64 = numbers(axis).iter().sum();
                match sum <= *at_most {
                    true => Ok(()),
                    false => Err(format!("the sum of `{axis}` is {sum}, above {at_most}")),
                }
            }
            Self::Rising { axis } => match numbers(axis).is_sorted() {
                true => Ok(()),
                false => Err(format!("`{axis}` falls from one position to the next")),
            },
            Self::Order { smaller, larger } => {
                let most = numbers(smaller)
                    .into_iter()
                    .fold(f64::NEG_INFINITY, f64::max);
                let least = numbers(larger).into_iter().fold(f64::INFINITY, f64::min);
                match most <= least {
                    true => Ok(()),
                    false => Err(format!("`{smaller}` {most} is above `{larger}` {least}")),
                }
            }
            Self::Forbid { choices } => {
                let has = |(name, choice): (&String, &Choice)| {
                    let place = space.axis(name).and_then(|axis| axis.position_of(choice));
                    let wanted = place.and_then(|place| space.axis(name)?.choices.get(place));
                    let chosen = space.chosen(design, name).unwrap_or_default();
                    wanted.is_some_and(|wanted| chosen.contains(&wanted))
                };
                match choices.iter().all(has) {
                    false => Ok(()),
                    true => {
                        let named = |(name, choice): (&String, &Choice)| format!("{name}={choice}");
                        let named: Vec<String> = choices.iter().map(named).collect();
                        Err(format!("{} are not allowed together", named.join(" and ")))
                    }
                }
            }
        }
    }
}
