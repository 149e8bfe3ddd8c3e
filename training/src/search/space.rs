//! A design space: axes with choices, and what must hold between them. A design is one point of it.

use std::collections::BTreeMap;

use crossburn_noise::path_hash;
use serde::{Deserialize, Serialize};

use super::axis::{Axis, AxisConfig, Choice, Part, Times, is_word};
use super::constraint::Constraint;
use crate::TrainingError;
use crate::draws::Draws;

/// The most positions of a design.
const MOST_POSITIONS: usize = 256;
/// The most choices of an axis.
const MOST_CHOICES: usize = 256;
/// Designs that are tried before a space is said to have no valid one.
const TRIES: usize = 10_000;
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
        let network = config.network.into_iter().map(|axis| (Part::Network, axis));
        let hardware = config.hardware.into_iter();
        let all = network.chain(hardware.map(|axis| (Part::Hardware, axis)));
        let mut axes: Vec<Axis> = Vec::new();
        for (part, (name, axis)) in all {
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
                part,
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
                "use at most 256",
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

    /// What must hold between them.
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
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

    /// Designs, whether or not they keep the constraints.
    pub fn size(&self) -> f64 {
        let mut product = 1.0;
        for axis in &self.axes {
            let own = axis.choices.len() as f64;
            let counted = match &axis.times {
                Times::Fixed(times) if !self.counts_others(axis) => own.powi(*times as i32),
                // An axis that counts positions of others comes with them.
                Times::Fixed(_) => {
                    let others = |times: usize| -> f64 {
                        let counted = self.axes.iter().filter(|other| counted_by(other, axis));
                        counted
                            .map(|other| (other.choices.len() as f64).powi(times as i32))
                            .product()
                    };
                    axis.choices
                        .iter()
                        .filter_map(Choice::size)
                        .map(others)
                        .sum()
                }
                Times::Axis(_) => 1.0,
            };
            product *= counted;
        }
        product
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

    /// A valid design that differs from `design` in one used position; none where none was found.
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

    /// All designs, whether or not they keep the constraints, each once.
    pub fn designs(&self) -> impl Iterator<Item = Design> + '_ {
        let mut next = Some(vec![0u16; self.positions()]);
        std::iter::from_fn(move || {
            let current = next.take()?;
            next = self.after(current.clone());
            Some(Design(current))
        })
    }

    /// The numbers of the design after that of `numbers`.
    fn after(&self, mut numbers: Vec<u16>) -> Option<Vec<u16>> {
        let design = Design(numbers.clone());
        // An axis that counts positions of others moves on last: which positions are used stays the same while they are counted through.
        let counts = |at: &usize| self.counts_others(self.axis_at(*at));
        let positions = || (0..self.positions()).rev();
        let order = positions()
            .filter(|at| !counts(at))
            .chain(positions().filter(counts));
        for at in order {
            if !self.uses(&design, at) {
                continue;
            }
            numbers[at] += 1;
            if usize::from(numbers[at]) < self.axis_at(at).choices.len() {
                return self.design(numbers).map(|design| design.0);
            }
            numbers[at] = 0;
        }
        None
    }

    /// The text form: `channels=32,64 kernels=3,3`, axes in order.
    pub fn text(&self, design: &Design) -> String {
        self.written(design, |name, choices| {
            let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
            format!("{name}={}", choices.join(","))
        })
        .join(" ")
    }

    /// One line of JSON: lists for axes of several positions, values for the others.
    pub fn json(&self, design: &Design) -> String {
        let word = |choice: &&Choice| match choice {
            Choice::Word(word) => format!("\"{word}\""),
            number => number.to_string(),
        };
        let axes = self.written(design, |name, choices| {
            let choices: Vec<String> = choices.iter().map(word).collect();
            match self.axis(name).is_some_and(Axis::is_single) {
                true => format!("\"{name}\":{}", choices.concat()),
                false => format!("\"{name}\":[{}]", choices.join(",")),
            }
        });
        format!("{{{}}}", axes.join(","))
    }

    fn written(&self, design: &Design, write: impl Fn(&str, &[&Choice]) -> String) -> Vec<String> {
        let axes = self.axes.iter();
        axes.map(|axis| {
            let chosen = self.chosen(design, &axis.name).unwrap_or_default();
            write(&axis.name, &chosen)
        })
        .collect()
    }

    /// Reads the text form; the order of the axes is free.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for what is no valid design.
    pub fn parse(&self, text: &str) -> Result<Design, TrainingError> {
        let refuse = |problem: String| {
            TrainingError::data(
                format!("design `{text}`"),
                problem,
                format!("write a design of the space `{}`", self.name),
            )
        };
        let mut given: Vec<(String, Vec<Choice>)> = Vec::new();
        for part in text.split_whitespace() {
            let (name, values) = part
                .split_once('=')
                .ok_or_else(|| refuse(format!("`{part}` is not AXIS=CHOICE,CHOICE")))?;
            given.push((
                name.to_string(),
                values.split(',').map(read_choice).collect(),
            ));
        }
        self.of_choices(&given).map_err(refuse)
    }

    /// The valid design of these choices by axis: every axis once, with as many choices as it has positions.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn of_choices(&self, given: &[(String, Vec<Choice>)]) -> Result<Design, String> {
        for (number, (name, _)) in given.iter().enumerate() {
            if self.axis(name).is_none() {
                return Err(format!("there is no axis `{}`", shown(name)));
            }
            if given[..number].iter().any(|(other, _)| other == name) {
                return Err(format!("axis `{name}` is given twice"));
            }
        }
        let mut numbers = vec![0u16; self.positions()];
        // Axes that count positions of others come first.
        let (counted, fixed): (Vec<&Axis>, Vec<&Axis>) = self
            .axes
            .iter()
            .partition(|axis| matches!(axis.times, Times::Axis(_)));
        for axis in fixed.into_iter().chain(counted) {
            let name = &axis.name;
            let found = given.iter().find(|(given, _)| given == name);
            let (_, choices) = found.ok_or_else(|| format!("axis `{name}` is missing"))?;
            let used = self.used(&numbers, axis);
            if choices.len() != used {
                return Err(format!(
                    "axis `{name}` has {} choices, not {used}",
                    choices.len()
                ));
            }
            for (place, choice) in choices.iter().enumerate() {
                let number = axis.position_of(choice).ok_or_else(|| {
                    let known: Vec<String> = axis.choices.iter().map(ToString::to_string).collect();
                    format!(
                        "axis `{name}` has no choice {}: it has {}",
                        shown(&choice.to_string()),
                        known.join(", ")
                    )
                })?;
                numbers[axis.first + place] = number as u16;
            }
        }
        let design = Design(numbers);
        self.check(&design)?;
        Ok(design)
    }

    /// A number that names `design` for good: the hash of its text form.
    pub fn hash(&self, design: &Design) -> u64 {
        path_hash(&self.text(design))
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

/// Text of a reply as a message may hold it.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    short.escape_default().to_string()
}

/// A choice as the text form writes it.
fn read_choice(text: &str) -> Choice {
    if let Ok(whole) = text.parse() {
        return Choice::Whole(whole);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Choice::Number(number),
        _ => Choice::Word(text.to_string()),
    }
}

fn counted_by(axis: &Axis, counting: &Axis) -> bool {
    matches!(&axis.times, Times::Axis(name) if *name == counting.name)
}

/// What is wrong with an axis.
fn check_axis(name: &str, choices: &[Choice]) -> Result<(), String> {
    if !is_word(name) {
        return Err(format!("`{}` cannot name an axis", shown(name)));
    }
    if choices.is_empty() || choices.len() > MOST_CHOICES {
        return Err(format!(
            "axis `{name}` has {} choices, not 1 to 256",
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

#[cfg(test)]
mod tests;
