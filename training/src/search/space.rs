//! A design space: axes with choices, and what must hold between them. A design is one point of it.

mod config;
mod designs;
mod text;

pub use config::SpaceConfig;

use super::axis::{Axis, Choice, Times};
use super::constraint::Constraint;
use crate::draws::Draws;

/// Designs that are tried before a space is said to have no valid one.
const TRIES: usize = 10_000;

/// A checked space, which has a valid design.
///
/// ```
/// use crossburn_training::search::{Draws, Space, SpaceConfig};
///
/// let config: SpaceConfig = toml::from_str(r#"
///     name = "small"
///     network.channels = { times = 2, of = [4, 8, 16] }
///     network.kernels = { times = 2, of = [3, 5] }
///     hardware.array = [64, 128]
/// "#)?;
/// let space = Space::new(config)?;
/// assert_eq!(space.size(), 9.0 * 4.0 * 2.0);
/// let design = space.parse("channels=4,16 kernels=3,3 array=128")?;
/// assert_eq!(space.json(&design), r#"{"channels":[4,16],"kernels":[3,3],"array":128}"#);
/// assert!(space.draw(&mut Draws::new(1, "example")).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    name: String,
    about: String,
    axes: Vec<Axis>,
    constraints: Vec<Constraint>,
    /// The axis of every position.
    axis_of: Vec<usize>,
}

/// A point of a space: the number of the choice at every position. Positions that the design does not use hold 0, so that equal
/// designs are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Design(pub(super) Vec<u16>);

impl Design {
    /// The number of the choice at every position.
    pub fn numbers(&self) -> &[u16] {
        &self.0
    }
}

impl Space {
    /// What reports call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is designed, in a sentence.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// The axes, in the order of a design.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The axis of a name.
    pub fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// Positions of a design, those that are not used included.
    pub fn positions(&self) -> usize {
        self.axis_of.len()
    }

    /// The axis of a position.
    pub fn axis_at(&self, position: usize) -> &Axis {
        &self.axes[self.axis_of[position]]
    }

    fn counts_others(&self, axis: &Axis) -> bool {
        self.axes.iter().any(|other| counted_by(other, axis))
    }

    /// Positions of `axis` that a design uses.
    fn used(&self, numbers: &[u16], axis: &Axis) -> usize {
        match &axis.times {
            Times::Fixed(times) => *times,
            Times::Axis(name) => {
                let chosen = self.axis(name).and_then(|counting| {
                    let number = *numbers.get(counting.first)?;
                    counting.choices.get(usize::from(number))?.size()
                });
                chosen.unwrap_or(0).min(axis.positions)
            }
        }
    }

    /// Whether a design uses a position.
    pub fn uses(&self, design: &Design, position: usize) -> bool {
        let axis = self.axis_at(position);
        position - axis.first < self.used(&design.0, axis)
    }

    /// The design of these numbers; unused positions are set to 0. `None` where a number is no choice.
    pub fn design(&self, mut numbers: Vec<u16>) -> Option<Design> {
        if numbers.len() != self.positions() {
            return None;
        }
        for axis in &self.axes {
            let used = self.used(&numbers, axis);
            let own = &mut numbers[axis.first..axis.first + axis.positions];
            own[used..].fill(0);
            if own
                .iter()
                .any(|number| usize::from(*number) >= axis.choices.len())
            {
                return None;
            }
        }
        Some(Design(numbers))
    }

    /// The choices of `design` at the used positions of the axis `name`; none where there is no such axis.
    pub fn chosen<'a>(&'a self, design: &Design, name: &str) -> Option<Vec<&'a Choice>> {
        let axis = self.axis(name)?;
        let used = self.used(&design.0, axis);
        let numbers = &design.0[axis.first..axis.first + used];
        Some(
            numbers
                .iter()
                .map(|number| &axis.choices[usize::from(*number)])
                .collect(),
        )
    }

    /// Whether `design` keeps the constraints.
    ///
    /// # Errors
    /// The constraint that it breaks, in words.
    pub fn check(&self, design: &Design) -> Result<(), String> {
        self.constraints
            .iter()
            .try_for_each(|constraint| constraint.check(self, design))
    }

    /// A valid design, each as likely as any other with its number of used positions; none where none was found.
    pub fn draw(&self, draws: &mut Draws) -> Option<Design> {
        (0..TRIES).find_map(|_| {
            let positions = 0..self.positions();
            let numbers = positions.map(|at| draws.below(self.axis_at(at).choices.len()) as u16);
            let design = self.design(numbers.collect())?;
            self.check(&design).is_ok().then_some(design)
        })
    }

    /// A valid design that differs from `design` in the choice at one used position; none where none was found. Where that choice says how many
    /// positions another axis has, positions that come into use hold their first choice.
    pub fn neighbour(&self, design: &Design, draws: &mut Draws) -> Option<Design> {
        (0..TRIES).find_map(|_| {
            let at = draws.below(self.positions());
            let choices = self.axis_at(at).choices.len();
            if choices < 2 || !self.uses(design, at) {
                return None;
            }
            let step = 1 + draws.below(choices - 1);
            let mut numbers = design.0.clone();
            numbers[at] = ((usize::from(numbers[at]) + step) % choices) as u16;
            let other = self.design(numbers)?;
            self.check(&other).is_ok().then_some(other)
        })
    }

    /// The same space with axes named `v1`, `v2`, … and choices that are only numbered: what is left to a proposer that must not know
    /// what is designed. Designs keep their numbers.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let name = |of: &str| {
            let number = self.axes.iter().position(|axis| axis.name == of);
            number.map_or_else(String::new, |number| format!("v{}", number + 1))
        };
        let axes = self.axes.iter().map(|axis| Axis {
            name: name(&axis.name),
            // An axis that counts positions must keep its numbers.
            choices: match self.counts_others(axis) {
                true => axis.choices.clone(),
                false => (1..=axis.choices.len() as i64).map(Choice::Whole).collect(),
            },
            times: match &axis.times {
                Times::Axis(of) => Times::Axis(name(of)),
                fixed => fixed.clone(),
            },
            ..axis.clone()
        });
        Self {
            name: "variables".to_string(),
            about: String::new(),
            axes: axes.collect(),
            // Constraints speak of choices by their values; a design that breaks one is refused when it is judged.
            constraints: Vec::new(),
            axis_of: self.axis_of.clone(),
        }
    }
}

fn counted_by(axis: &Axis, counting: &Axis) -> bool {
    matches!(&axis.times, Times::Axis(name) if *name == counting.name)
}

#[cfg(test)]
mod tests;
