//! A cell that another program brings.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bulk::Bulk;
use super::law::Law;
use crate::HardwareError;

/// A cell of your own: a law with a name.
///
/// Documents show its name and how the law is printed (`Debug`): two cells are taken for the same where these are. A document holds no
/// law, so that one that is read from a document is refused.
///
/// ```
/// use crossburn_hardware::device::{
///     ConductanceRange, DeviceConfig, Law, MemoryDevice, NoAgeing, NoReadNoise, OwnConfig, Programming, Spread,
/// };
/// use crossburn_noise::ChipSeed;
///
/// /// Conductances fall short by a tenth, and scatter by a twentieth.
/// #[derive(Debug)]
/// struct Short(ConductanceRange);
///
/// impl Programming for Short {
///     fn spread(&self, target: f64) -> Spread {
///         Spread { mean: 0.9 * target, sigma: 0.05 * target }
///     }
/// }
///
/// impl Law for Short {
///     type Ageing = NoAgeing;
///     type Read = NoReadNoise;
///
///     fn range(&self) -> ConductanceRange {
///         self.0
///     }
/// }
///
/// let range = ConductanceRange::new("1 uS".parse()?, "50 uS".parse()?)?;
/// let device = MemoryDevice::try_from(DeviceConfig::from(OwnConfig::new("short", Short(range))))?;
/// assert_eq!(device.config().kind(), "short");
/// let cells = device.program(&[20.0; 1000], &ChipSeed::new(7, 17).generator("fc.weight"));
/// let mean = cells.iter().sum::<f32>() / 1000.0;
/// assert!((mean - 18.0).abs() < 0.2 && !device.has_drift());
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OwnConfig {
    name: String,
    /// The law as it is printed.
    text: String,
    /// Nothing where a document names it.
    law: Option<Arc<dyn Bulk>>,
}

/// A cell in a document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: String,
    law: String,
}

impl OwnConfig {
    /// A cell called `name` that follows `law`.
    pub fn new(name: impl Into<String>, law: impl Law) -> Self {
        Self {
            name: name.into(),
            text: format!("{law:?}"),
            law: Some(Arc::new(law)),
        }
    }

    /// The name that documents show.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn check(&self) -> Result<Arc<dyn Bulk>, HardwareError> {
        self.law.clone().ok_or_else(|| {
            HardwareError::conflict(
                format!(
                    "the device `{}` is one of another program, of which a document holds the name alone",
                    self.name
                ),
                "program its cells in that program, or choose another device",
            )
        })
    }
}

impl PartialEq for OwnConfig {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.text) == (&other.name, &other.text)
    }
}

impl Serialize for OwnConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let described = Described {
            name: self.name.clone(),
            law: self.text.clone(),
        };
        described.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Described { name, law } = Described::deserialize(deserializer)?;
        Ok(Self {
            name,
            text: law,
            law: None,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_noise::ChipSeed;

    use super::super::{AdditiveConfig, DeviceConfig, MemoryDevice};
    use super::*;
    use crate::units::Siemens;

    /// A law of the crate makes the same cells from outside as in its own family.
    #[test]
    fn a_law_from_outside_is_as_good_as_one_of_the_crate() {
        let additive = AdditiveConfig {
            g_min: Siemens::new(1e-6),
            g_max: Siemens::new(50e-6),
            sigma_rel_gmax: Some(0.1),
            full_width_rel_gmax: None,
            read_sigma_rel_gmax: 0.02,
        };
        let known = MemoryDevice::try_from(DeviceConfig::from(additive)).unwrap();
        let own = OwnConfig::new("mine", additive.check().unwrap());
        let own = MemoryDevice::try_from(DeviceConfig::from(own)).unwrap();
        let targets = [0.0, 1.0, 20.0, 50.0];
        let cells = |device: &MemoryDevice| {
            let draws = ChipSeed::new(7, 1).generator("w");
            let cells = device.program(&targets, &draws);
            let read = device.read_sigma(&cells, "1 s".parse().unwrap());
            (cells, read, device.range(), device.programming_moments(1.0))
        };
        assert_eq!(cells(&own), cells(&known));
        assert_eq!(own.config().kind(), "mine");
        let text = serde_json::to_string(&own).unwrap();
        let start = r#"{"kind":"own","name":"mine","law":"GenericCell {"#;
        assert!(text.starts_with(start), "{text}");
        let named: DeviceConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(&named, own.config());
        let message = MemoryDevice::try_from(named).unwrap_err().to_string();
        assert_eq!(
            message,
            "the device `mine` is one of another program, of which a document holds the name alone: program its cells in that program, or choose another device"
        );
    }
}
