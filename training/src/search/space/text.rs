//! How a design is written, and how it is read again.

use crossburn_noise::path_hash;

use super::{Design, Space};
use crate::TrainingError;
use crate::search::axis::{Axis, Choice, Times};

impl Space {
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
                values.split(',').map(Choice::read).collect(),
            ));
        }
        self.of_choices(&given).map_err(refuse)
    }

    /// The valid design of these choices by axis: every axis once, with as many choices as it has positions.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(in crate::search) fn of_choices(
        &self,
        given: &[(String, Vec<Choice>)],
    ) -> Result<Design, String> {
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
}

/// Text of a reply as a message may hold it.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    short.escape_default().to_string()
}
