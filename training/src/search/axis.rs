//! One axis of a design space: a name, and the choices at each of its positions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One choice of an axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a choice is a number or a word")]
pub enum Choice {
    /// A whole number, such as a number of channels.
    Whole(i64),
    /// A number, such as a rate of dropout.
    Number(f64),
    /// A word, such as the name of an operation.
    Word(String),
}

impl Choice {
    /// The choice that the text form of a design writes as `text`.
    pub(super) fn read(text: &str) -> Self {
        if let Ok(whole) = text.parse() {
            return Self::Whole(whole);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Number(number),
            _ => Self::Word(text.to_string()),
        }
    }

    /// Its number; none for a word.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Word(_) => None,
        }
    }

    /// Its number as a size; none for a word, a fraction, and a number below zero.
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::Whole(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Number(number) if !number.is_finite() => Some("is not finite"),
            Self::Word(word) if !is_word(word) => {
                Some("is not a word of letters, digits and _ . + - (at most 40)")
            }
            // The text form has no quotes, so such a word would be read back as a number.
            Self::Word(word) if Self::read(word).number().is_some() => {
                Some("is a number in quotes: leave out the quotes")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

/// Whether `text` can stand in the text form of a design.
pub(super) fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    (1..=40).contains(&text.len()) && text.chars().all(fits)
}

/// An axis as a file describes it: its choices, or choices at several positions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "an axis is a list of choices, or { times = N, of = [choices] }"
)]
pub enum AxisConfig {
    /// One position.
    One(Vec<Choice>),
    /// Several positions with the same choices.
    Several(SeveralConfig),
}

/// Several positions with the same choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeveralConfig {
    /// How many.
    pub times: Times,
    /// The choices at each of them.
    pub of: Vec<Choice>,
}

/// How many positions an axis has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "`times` is a number, or the name of the axis that says how many"
)]
pub enum Times {
    /// Always as many.
    Fixed(usize),
    /// As many as the axis of this name says.
    Axis(String),
}

/// An axis of a checked space.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Its name.
    pub name: String,
    /// The choices at each of its positions.
    pub choices: Vec<Choice>,
    /// How many positions it has.
    pub times: Times,
    /// The number of its first position in a design.
    pub first: usize,
    /// Positions in a design; those that are not used hold 0.
    pub positions: usize,
}

impl Axis {
    /// Whether it is a single choice rather than a list.
    pub fn is_single(&self) -> bool {
        self.times == Times::Fixed(1)
    }

    /// The number of `choice` among its choices.
    pub fn position_of(&self, choice: &Choice) -> Option<usize> {
        // Whole numbers are compared as such, since large ones are equal as floating-point numbers; 1 and 1.0 are the same choice.
        let same = |own: &Choice| match (own, choice) {
            (Choice::Whole(a), Choice::Whole(b)) => a == b,
            _ => match (own.number(), choice.number()) {
                (Some(a), Some(b)) => a == b,
                _ => own == choice,
            },
        };
        self.choices.iter().position(same)
    }
}
