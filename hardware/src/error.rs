//! Errors of this crate.

use std::fmt::Display;

/// An error of the hardware crate: one line that names the value and the remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HardwareError {
    /// The number of bits is outside what the symmetric quantizer can represent in `f32`.
    #[error(
        "bits = {bits} is outside 1..=16: use a width in that range, or leave `bits` out for full precision"
    )]
    Bits {
        /// The refused width.
        bits: u8,
    },
    /// A text that is no quantity of the expected kind.
    #[error("`{text}` is not {quantity}: write a number and one of {units}")]
    Unit {
        /// The refused text.
        text: String,
        /// The expected quantity, with its article.
        quantity: &'static str,
        /// The known units.
        units: String,
    },
    /// A field whose value is outside its limits.
    #[error("{field} = {value} is outside {limit}: {remedy}")]
    Limit {
        /// The field, as configuration files spell it.
        field: String,
        /// The refused value, with its unit.
        value: String,
        /// The allowed values.
        limit: String,
        /// The remedy.
        remedy: String,
    },
    /// Two settings that cannot hold together, or an effect that is configured but cannot apply.
    #[error("{settings}: {remedy}")]
    Conflict {
        /// The settings and why they exclude each other.
        settings: String,
        /// The remedy.
        remedy: String,
    },
    /// A name that no preset or layer has.
    #[error("there is no {kind} `{name}`: use one of {known}")]
    Unknown {
        /// The kind of name.
        kind: &'static str,
        /// The name.
        name: String,
        /// The known names.
        known: String,
    },
    /// A configuration text that cannot be read.
    #[error("{what} cannot be read: {message}")]
    Text {
        /// The thing that the text should describe.
        what: String,
        /// The first thing that is wrong with it.
        message: String,
    },
    /// Bounds of deviations that cannot be.
    #[error(transparent)]
    Noise(#[from] crossburn_noise::NoiseError),
    /// An error in one layer of a network.
    #[error("layer `{path}`: {error}")]
    Layer {
        /// Path of its weight.
        path: String,
        /// The error.
        error: Box<HardwareError>,
    },
}

impl HardwareError {
    /// `field = value` outside `limit`: see [`Self::Limit`].
    pub fn limit(
        field: impl Display,
        value: impl Display,
        limit: impl Display,
        remedy: impl Display,
    ) -> Self {
        Self::Limit {
            field: field.to_string(),
            value: value.to_string(),
            limit: limit.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// Settings that cannot hold together: see [`Self::Conflict`].
    pub fn conflict(settings: impl Display, remedy: impl Display) -> Self {
        Self::Conflict {
            settings: settings.to_string(),
            remedy: remedy.to_string(),
        }
    }
}
