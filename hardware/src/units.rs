//! Physical scalars with their unit, as configuration files write them.
//!
//! ```
//! use crossburn_hardware::units::{Ohm, Siemens};
//!
//! let g_max: Siemens = "25 uS".parse()?;
//! assert_eq!(g_max.to_string(), "25 uS");
//! assert_eq!("10 kOhm".parse::<Ohm>()?.get(), 10_000.0);
//! assert_eq!(
//!     "25 uA".parse::<Siemens>().unwrap_err().to_string(),
//!     "`25 uA` is not a conductance: write a number and one of MS, kS, S, mS, uS, nS, pS, fS"
//! );
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::HardwareError;

/// Unit names and their factors, largest first; a value is written with the largest that leaves one before the point.
type Units = [(&'static str, f64)];

/// The value of `text` in the base unit, `None` where it is no such quantity.
fn parse(text: &str, units: &Units) -> Option<f64> {
    let text = text.trim().replace(['µ', 'μ'], "u").replace('Ω', "Ohm");
    // At most one unit leaves a number in front of it: `5 ms` is no number of seconds called `5 m`.
    units.iter().find_map(|(unit, factor)| {
        let value = scale(text.strip_suffix(unit)?.trim_end(), *factor)?;
        Some(value).filter(|value| value.is_finite())
    })
}

/// The number in `text` times `factor`. A power of ten moves the point of the text, so that the result is the nearest
/// number to what is written, in whatever unit it is written.
fn scale(text: &str, factor: f64) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let shift = factor.log10().round() as i32;
    if (10f64.powi(shift) / factor - 1.0).abs() > 1e-9 {
        return Some(number * factor);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
        None => (text, 0),
    };
    format!("{mantissa}e{}", shift.checked_add(exponent)?)
        .parse()
        .ok()
}

fn format(value: f64, units: &Units, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let fits = |(_, factor): &&(&str, f64)| value.abs() >= 0.999_999_999 * factor;
    let (unit, factor) = match units.iter().find(fits) {
        Some(unit) => *unit,
        None if value == 0.0 => units
            .iter()
            .copied()
            .find(|(_, factor)| *factor == 1.0)
            .unwrap_or(("", 1.0)),
        None => *units.last().unwrap_or(&("", 1.0)),
    };
    // Ten digits: without the tail that the division leaves.
    let digits: f64 = format!("{:.9e}", value / factor).parse().unwrap_or(value);
    write!(f, "{digits} {unit}")
}

/// The known units, for an error message.
fn names(units: &Units) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $quantity:literal, [$($unit:literal = $factor:expr),+]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            const UNITS: &'static Units = &[$(($unit, $factor)),+];

            /// A value in the base unit.
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The value in the base unit.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = HardwareError;

            fn from_str(text: &str) -> Result<Self, HardwareError> {
                parse(text, Self::UNITS).map(Self).ok_or_else(|| HardwareError::Unit {
                    text: text.to_string(),
                    quantity: $quantity,
                    units: names(Self::UNITS),
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                format(self.0, Self::UNITS, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

quantity!(
    /// Conductance in siemens.
    Siemens, "a conductance",
    ["MS" = 1e6, "kS" = 1e3, "S" = 1.0, "mS" = 1e-3, "uS" = 1e-6, "nS" = 1e-9, "pS" = 1e-12, "fS" = 1e-15]
);
quantity!(
    /// Resistance in ohms.
    Ohm, "a resistance",
    ["GOhm" = 1e9, "MOhm" = 1e6, "kOhm" = 1e3, "Ohm" = 1.0, "mOhm" = 1e-3, "uOhm" = 1e-6]
);
quantity!(
    /// Voltage in volts.
    Volt, "a voltage",
    ["kV" = 1e3, "V" = 1.0, "mV" = 1e-3, "uV" = 1e-6]
);
quantity!(
    /// Time in seconds.
    Second, "a time",
    [
        "y" = 31_557_600.0, "d" = 86_400.0, "h" = 3600.0, "min" = 60.0, "s" = 1.0, "ms" = 1e-3, "us" = 1e-6, "ns" = 1e-9,
        "ps" = 1e-12
    ]
);
quantity!(
    /// Frequency in hertz; of a converter, its samples per second.
    Hertz, "a frequency",
    ["GHz" = 1e9, "MHz" = 1e6, "kHz" = 1e3, "Hz" = 1.0]
);
quantity!(
    /// Energy in joules.
    Joule, "an energy",
    ["kJ" = 1e3, "J" = 1.0, "mJ" = 1e-3, "uJ" = 1e-6, "nJ" = 1e-9, "pJ" = 1e-12, "fJ" = 1e-15, "aJ" = 1e-18]
);
quantity!(
    /// Power in watts.
    Watt, "a power",
    ["kW" = 1e3, "W" = 1.0, "mW" = 1e-3, "uW" = 1e-6, "nW" = 1e-9, "pW" = 1e-12]
);
quantity!(
    /// Area in square millimetres.
    SquareMillimetre, "an area",
    ["mm2" = 1.0, "um2" = 1e-6, "nm2" = 1e-12]
);

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("25 uS", 25e-6, "25 uS")]
    #[case("25µS", 25e-6, "25 uS")]
    #[case("1e-6 S", 1e-6, "1 uS")]
    #[case("0.5mS", 5e-4, "500 uS")]
    #[case("0 S", 0.0, "0 S")]
    #[case("-3 nS", -3e-9, "-3 nS")]
    fn conductances_are_read_and_written(
        #[case] text: &str,
        #[case] value: f64,
        #[case] written: &str,
    ) {
        let read: Siemens = text.parse().unwrap();
        assert!((read.get() - value).abs() <= 1e-15 * value.abs());
        assert_eq!(read.to_string(), written);
    }

    #[test]
    fn every_quantity_has_its_units() {
        assert_eq!("10 kΩ".parse::<Ohm>().unwrap(), Ohm::new(1e4));
        assert_eq!("1d".parse::<Second>().unwrap().to_string(), "1 d");
        assert_eq!("90 s".parse::<Second>().unwrap().to_string(), "1.5 min");
        assert_eq!(
            "1200 um2".parse::<SquareMillimetre>().unwrap().to_string(),
            "1200 um2"
        );
        assert_eq!("1.28 GHz".parse::<Hertz>().unwrap(), Hertz::new(1.28e9));
        assert_eq!(Joule::new(1.6e-12).to_string(), "1.6 pJ");
        // What is read is the nearest number, as if written in the base unit.
        assert_eq!("0.6 pJ".parse::<Joule>().unwrap(), Joule::new(0.6e-12));
    }

    #[rstest]
    #[case("25")]
    #[case("uS")]
    #[case("")]
    #[case("25 uuS")]
    #[case("NaN S")]
    #[case("inf S")]
    #[case("25 us")]
    #[case("1 2 S")]
    fn what_is_no_conductance_is_refused(#[case] text: &str) {
        let message = text.parse::<Siemens>().unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("`{text}` is not a conductance")),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(mantissa in -9.999f64..9.999, exponent in -14i32..5) {
            let value = Siemens::new(mantissa * 10f64.powi(exponent));
            let again: Siemens = value.to_string().parse().unwrap();
            prop_assert!((again.get() - value.get()).abs() <= 1e-9 * value.get().abs());
        }
    }
}
