//! Training on chips of a hardware: the table `[hardware]` of a recipe.

use std::fmt;

use crossburn_hardware::deploy::{
    Fidelity, Hardware, HardwareConfig, MappedNetwork, TrainingChips,
};
use crossburn_hardware::{MemoryDevice, WeightPlan, programmed, units::Second};
use crossburn_models::Network;
use crossburn_noise::Distribution;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Method, Recipe, TrainingError};

/// Every step programs a chip of this hardware instead of drawing one of `[noise]`.
///
/// ```
/// use crossburn_training::HardwareAware;
///
/// let hardware: HardwareAware = toml::from_str(r#"
///     accelerator = "papers"
///     cell = "pcm-mushroom"
///     fidelity = "array"
///     after = ["1 s", "1 h", "1 d"]
/// "#)?;
/// assert_eq!(hardware.ranges_every, 10);
/// assert!(hardware.chips()?.scales().is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareAware {
    /// Name of a device whose cells replace those of the accelerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Whether a step sees the weights that cells hold, or every product on its arrays.
    #[serde(default)]
    pub fidelity: Fidelity,
    /// Times since programming. Every chip has one of them; without any, all chips have that of the accelerator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Second>,
    /// Steps after which calibrated ranges of output converters are set again, on up to 32 items of the step. They are also
    /// set at the start of every epoch.
    #[serde(default = "ten")]
    pub ranges_every: usize,
    /// At array fidelity, the rate of Adam by which the full scale of every layer's inputs is learned, in parts of itself. With 0 it
    /// stays the largest input of the first step.
    #[serde(default = "thousandth")]
    pub scale_rate: f64,
    /// The accelerator.
    pub accelerator: AcceleratorChoice,
}

fn ten() -> usize {
    10
}

fn thousandth() -> f64 {
    0.001
}

/// An accelerator by its name, or the content of a hardware file.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AcceleratorChoice {
    /// One that comes with the program.
    Named(String),
    /// A table with the keys of a hardware file.
    Described(Box<HardwareConfig>),
}

impl<'de> Deserialize<'de> for AcceleratorChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Reads a string or a table, with the messages of the table.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = AcceleratorChoice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an accelerator, or a table with the keys of a hardware file")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<AcceleratorChoice, E> {
        Hardware::preset(name).map_err(E::custom)?;
        Ok(AcceleratorChoice::Named(name.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AcceleratorChoice, A::Error> {
        let config = HardwareConfig::deserialize(MapAccessDeserializer::new(map))?;
        Ok(AcceleratorChoice::Described(Box::new(config)))
    }
}

impl HardwareAware {
    /// The hardware.
    ///
    /// # Errors
    /// [`TrainingError::Hardware`] for names that nothing has, and for a description that does not fit together.
    pub fn hardware(&self) -> Result<Hardware, TrainingError> {
        let hardware = match &self.accelerator {
            AcceleratorChoice::Described(config) => Hardware::try_from((**config).clone())?,
            AcceleratorChoice::Named(name) => Hardware::preset(name)?,
        };
        Ok(match &self.cell {
            Some(cell) => hardware.with(Some(MemoryDevice::preset(cell)?), None)?,
            None => hardware,
        })
    }

    /// Its chips, before a first look at a pass.
    ///
    /// # Errors
    /// Those of [`Self::hardware`], and [`TrainingError::Hardware`] for a time that the cells do not know.
    pub fn chips(&self) -> Result<TrainingChips, TrainingError> {
        Ok(TrainingChips::new(
            &self.hardware()?,
            self.fidelity,
            &self.after,
        )?)
    }

    /// Refuses a hardware that cannot hold the weights that `plan` places on it, which takes no data.
    ///
    /// # Errors
    /// [`TrainingError::OnHardware`], and [`TrainingError::Setting`] where no weight lies on an array.
    fn check_network<N: Network>(
        &self,
        network: &N,
        plan: &WeightPlan,
    ) -> Result<(), TrainingError> {
        let plain = programmed(network, plan);
        if plan.placement().on_arrays(&plain).is_empty() {
            return Err(TrainingError::setting(
                "arrays.digital",
                "every weight",
                "fewer weights with [hardware], or leave that out",
            ));
        }
        let hardware = self.hardware()?.with_placement(plan.placement(), &plain);
        let mapped = hardware.and_then(|hardware| MappedNetwork::new(&plain, &hardware, 1, |_| {}));
        mapped.map(|_| ()).map_err(TrainingError::OnHardware)
    }

    /// Refuses what makes no sense, alone or with the rest of `recipe`.
    pub(crate) fn check(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        self.chips()?;
        if self.ranges_every == 0 {
            return Err(TrainingError::setting(
                "hardware.ranges_every",
                0,
                "a whole number above 0",
            ));
        }
        if !(0.0..=1.0).contains(&self.scale_rate) {
            return Err(TrainingError::setting(
                "hardware.scale_rate",
                self.scale_rate,
                "a number from 0 to 1",
            ));
        }
        let Distribution::None {} = recipe.noise.distribution else {
            return Err(TrainingError::setting(
                "noise.kind",
                recipe.noise.distribution.name(),
                "none with [hardware], whose cells deviate by themselves",
            ));
        };
        match recipe.method {
            Method::NoiseInjection {} | Method::Distillation(_) | Method::Orthogonality(_) => {
                Ok(())
            }
            _ => Err(TrainingError::setting(
                "method.kind",
                recipe.method.name(),
                "noise-injection, orthogonality or distillation with [hardware]",
            )),
        }
    }
}

impl Recipe {
    /// Refuses a `[hardware]` that `network` does not fit, before any data are loaded.
    ///
    /// # Errors
    /// [`TrainingError::OnHardware`], and [`TrainingError::Setting`] where no weight lies on an array.
    pub fn check_hardware<N: Network>(&self, network: &N) -> Result<(), TrainingError> {
        let hardware = self.hardware.as_ref();
        hardware.map_or(Ok(()), |hardware| {
            hardware.check_network(network, &self.weights::<N>())
        })
    }
}
