//! Resistances of the lines of an array.

use serde::{Deserialize, Serialize};

use crate::HardwareError;
use crate::units::Ohm;

/// Resistances of the input and output lines of one array.
///
/// A segment is the piece of a line between two neighbouring cells. A terminal is what lies outside the array: the driver
/// of an input line, the sense circuit of an output line; it adds to the segment at its end. Zero is allowed anywhere, and
/// exact: with all four zero the array computes with its conductances themselves.
///
/// In TOML, where the terminals may be left out:
///
/// ```toml
/// input_segment = "1 Ohm"
/// output_segment = "1 Ohm"
/// input_terminal = "100 Ohm"
/// output_terminal = "100 Ohm"
/// ```
///
/// ```
/// use crossburn_hardware::ir_drop::Wires;
/// use crossburn_hardware::units::Ohm;
///
/// let wires = Wires::uniform(Ohm::new(1.0))?;
/// assert_eq!(wires.output_segment, Ohm::new(1.0));
/// assert_eq!(wires.output_terminal, Ohm::new(0.0));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Wires {
    /// Between neighbouring cells of an input line, and before its first cell.
    pub input_segment: Ohm,
    /// Between neighbouring cells of an output line, and after its last cell.
    pub output_segment: Ohm,
    /// Between the source of an input line and its first segment.
    pub input_terminal: Ohm,
    /// Between the last segment of an output line and virtual ground.
    pub output_terminal: Ohm,
}

impl Wires {
    /// The same resistance for every segment of both kinds of lines, without terminals.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a resistance that is negative or not finite.
    pub fn uniform(segment: Ohm) -> Result<Self, HardwareError> {
        Self {
            input_segment: segment,
            output_segment: segment,
            ..Self::default()
        }
        .check()
    }

    /// The same wires, if every resistance is allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a resistance that is negative or not finite.
    pub fn check(self) -> Result<Self, HardwareError> {
        for (field, resistance) in [
            ("input_segment", self.input_segment),
            ("output_segment", self.output_segment),
            ("input_terminal", self.input_terminal),
            ("output_terminal", self.output_terminal),
        ] {
            if !(resistance.get() >= 0.0 && resistance.get().is_finite()) {
                return Err(HardwareError::limit(
                    field,
                    resistance,
                    "the finite resistances from 0 Ohm on",
                    "use 0 Ohm for an ideal wire",
                ));
            }
        }
        Ok(self)
    }

    /// Whether all four resistances are zero.
    pub fn is_ideal(&self) -> bool {
        *self == Self::default()
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    input_segment: Ohm,
    output_segment: Ohm,
    #[serde(default)]
    input_terminal: Ohm,
    #[serde(default)]
    output_terminal: Ohm,
}

impl TryFrom<Unchecked> for Wires {
    type Error = HardwareError;

    fn try_from(wires: Unchecked) -> Result<Self, HardwareError> {
        Self {
            input_segment: wires.input_segment,
            output_segment: wires.output_segment,
            input_terminal: wires.input_terminal,
            output_terminal: wires.output_terminal,
        }
        .check()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn wires_are_read_and_written() {
        let text = "input_segment = \"1 Ohm\"\noutput_segment = \"500 mOhm\"\n\
            input_terminal = \"100 Ohm\"\noutput_terminal = \"0 Ohm\"\n";
        let wires: Wires = toml::from_str(text).unwrap();
        assert_eq!(wires.output_segment, Ohm::new(0.5));
        assert_eq!(toml::to_string(&wires).unwrap(), text);
        let short: Wires =
            toml::from_str("input_segment = \"0 Ohm\"\noutput_segment = \"0 Ohm\"").unwrap();
        assert!(short.is_ideal() && !wires.is_ideal());
    }

    #[rstest]
    #[case(
        "input_segment = \"-1 Ohm\"\noutput_segment = \"1 Ohm\"",
        "input_segment = -1 Ohm is outside the finite resistances from 0 Ohm on: use 0 Ohm for an ideal wire"
    )]
    #[case("input_segment = \"1 Ohm\"", "missing field `output_segment`")]
    #[case(
        "input_segment = \"1 Ohm\"\noutput_segment = \"1 Ohm\"\nsegment = \"1 Ohm\"",
        "unknown field `segment`"
    )]
    #[case(
        "input_segment = \"1 S\"\noutput_segment = \"1 Ohm\"",
        "`1 S` is not a resistance"
    )]
    fn what_is_no_wire_is_refused(#[case] text: &str, #[case] message: &str) {
        let error = toml::from_str::<Wires>(text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
