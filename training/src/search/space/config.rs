//! From a file's description of a space to a checked one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::text::shown;
use super::{Draws, Space};
use crate::TrainingError;
use crate::search::axis::{Axis, AxisConfig, Choice, Times, is_word};
use crate::search::constraint::Constraint;

/// The most positions of a design.
const MOST_POSITIONS: usize = 256;
/// The most choices of an axis.
const MOST_CHOICES: usize = 256;
/// Spaces of at most this many designs are looked through as a whole.
const LISTED: f64 = 200_000.0;

/// A space as a file describes it. Axes are ordered by part and name, so the order in a file means nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpaceConfig {
    /// What reports call it.
    pub name: String,
    /// What is designed, in a sentence.
    #[serde(default)]
    pub about: String,
    /// The axes of the network.
    #[serde(default)]
    pub network: BTreeMap<String, AxisConfig>,
    /// The axes of the hardware.
    #[serde(default)]
    pub hardware: BTreeMap<String, AxisConfig>,
    /// What must hold between them.
    #[serde(default, rename = "constraint")]
    pub constraints: Vec<Constraint>,
}

impl Space {
    /// Checks a space.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for names, choices and constraints that cannot be used, and for a space without a valid design.
    pub fn new(config: SpaceConfig) -> Result<Self, TrainingError> {
        let place = format!("space `{}`", config.name);
        let refuse = |problem: String, remedy: &str| TrainingError::data(&place, problem, remedy);
        if !is_word(&config.name) {
            return Err(TrainingError::data(
                "name",
                format!("`{}` cannot name a space", config.name),
                "use letters, digits and _ . + -, at most 40",
            ));
        }
        let mut axes: Vec<Axis> = Vec::new();
        for (name, axis) in config.network.into_iter().chain(config.hardware) {
            let (times, choices) = match axis {
                AxisConfig::One(choices) => (Times::Fixed(1), choices),
                AxisConfig::Several(several) => (several.times, several.of),
            };
            if axes.iter().any(|other| other.name == name) {
                return Err(refuse(
                    format!("axis `{name}` is both of the network and of the hardware"),
                    "rename one of them",
                ));
            }
            check_axis(&name, &choices).map_err(|problem| {
                refuse(problem, "give every axis a name and different choices")
            })?;
            axes.push(Axis {
                name,
                choices,
                times,
                first: 0,
                positions: 0,
            });
        }
        if axes.is_empty() {
            return Err(refuse(
                "it has no axis".to_string(),
                "add one, such as network.channels = [16, 32]",
            ));
        }
        place_axes(&mut axes)
            .map_err(|problem| refuse(problem, "use a number from 1 on, or a single axis"))?;
        let axis_of: Vec<usize> = axes
            .iter()
            .enumerate()
            .flat_map(|(number, axis)| std::iter::repeat_n(number, axis.positions))
            .collect();
        if axis_of.len() > MOST_POSITIONS {
            return Err(refuse(
                format!("it has {} positions", axis_of.len()),
                &format!("use at most {MOST_POSITIONS}"),
            ));
        }
        let space = Self {
            name: config.name,
            about: config.about,
            axes,
            constraints: config.constraints,
            axis_of,
        };
        for constraint in &space.constraints {
            constraint
                .fits(&space)
                .map_err(|problem| refuse(problem, "name axes of this space"))?;
        }
        if !space.has_valid() {
            return Err(refuse(
                "no design that was tried keeps all constraints".to_string(),
                "loosen a constraint, or add choices",
            ));
        }
        Ok(space)
    }

    fn has_valid(&self) -> bool {
        match self.size() <= LISTED {
            true => self.designs().any(|design| self.check(&design).is_ok()),
            false => self.draw(&mut Draws::new(0, "valid")).is_some(),
        }
    }
}

/// What is wrong with an axis.
fn check_axis(name: &str, choices: &[Choice]) -> Result<(), String> {
    if !is_word(name) {
        return Err(format!("`{}` cannot name an axis", shown(name)));
    }
    if choices.is_empty() || choices.len() > MOST_CHOICES {
        return Err(format!(
            "axis `{name}` has {} choices, not 1 to {MOST_CHOICES}",
            choices.len()
        ));
    }
    for (number, choice) in choices.iter().enumerate() {
        if let Some(problem) = choice.problem() {
            let choice = shown(&choice.to_string());
            return Err(format!("axis `{name}`: choice `{choice}` {problem}"));
        }
        let text = choice.to_string();
        if choices[..number]
            .iter()
            .any(|other| other.to_string() == text)
        {
            return Err(format!("axis `{name}` has the choice {text} twice"));
        }
    }
    Ok(())
}

/// Gives every axis its place in a design.
fn place_axes(axes: &mut [Axis]) -> Result<(), String> {
    let mut first = 0;
    for number in 0..axes.len() {
        let name = axes[number].name.clone();
        let positions = match axes[number].times.clone() {
            Times::Fixed(times) if (1..=MOST_POSITIONS).contains(&times) => times,
            Times::Fixed(times) => return Err(format!("axis `{name}`: times = {times}")),
            Times::Axis(of) => {
                let counting = axes.iter().find(|axis| axis.name == of && axis.is_single());
                let sizes = counting.and_then(|axis| {
                    let sizes = axis.choices.iter().map(Choice::size);
                    sizes.collect::<Option<Vec<usize>>>()
                });
                let most = sizes.and_then(|sizes| sizes.into_iter().max());
                let fits = most.filter(|most| (1..=MOST_POSITIONS).contains(most));
                fits.ok_or_else(|| {
                    format!("axis `{name}`: times = \"{of}\" is no single axis of whole numbers")
                })?
            }
        };
        axes[number].first = first;
        axes[number].positions = positions;
        first += positions;
    }
    Ok(())
}
