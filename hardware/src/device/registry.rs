//! The registry of device families.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::additive::AdditiveConfig;
use super::bulk::Bulk;
use super::four_level::FourLevelConfig;
use super::hermes_afm::HermesAfmConfig;
use super::ideal::IdealConfig;
use super::inverse_proportional::InverseProportionalConfig;
use super::neurosim::NeurosimConfig;
use super::own::OwnConfig;
use super::pcm_hermes::PcmHermesConfig;
use super::pcm_joshi::PcmJoshiConfig;
use super::pcm_mushroom::PcmMushroomConfig;
use super::proportional::ProportionalConfig;
use super::reram_cmo::ReramCmoConfig;
use super::reram_milo::ReramMiloConfig;
use super::reram_wan::ReramWanConfig;
use super::sonos::SonosConfig;
use super::state_independent::StateIndependentConfig;
use super::table::TableConfig;
use crate::HardwareError;

macro_rules! registry {
    ($($(#[$doc:meta])* $name:literal $kind:ident($config:ident)),+ $(,)?) => {
        /// The unchecked description of a device. In TOML, the key `kind` names the family; the other keys are those of the
        /// family, and unknown ones are refused. A [`MemoryDevice`](super::MemoryDevice) is the checked form, and may also
        /// have faults.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", deny_unknown_fields)]
        pub enum DeviceConfig {
            $($(#[$doc])* #[serde(rename = $name)] $kind($config),)+
            /// A cell of another program.
            #[serde(rename = "own")]
            Own(OwnConfig),
        }

        impl DeviceConfig {
            /// The name of the family in configurations; of a cell of another program, the one that it gives itself.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$kind(_) => $name,)+
                    Self::Own(own) => own.name(),
                }
            }

            /// Names of all families that come with the crate.
            pub fn kinds() -> &'static [&'static str] {
                &[$($name),+]
            }

            pub(super) fn check(&self) -> Result<Arc<dyn Bulk>, HardwareError> {
                Ok(match self {
                    $(Self::$kind(config) => Arc::new(config.check()?),)+
                    Self::Own(own) => own.check()?,
                })
            }
        }

        $(impl From<$config> for DeviceConfig {
            fn from(config: $config) -> Self {
                Self::$kind(config)
            }
        })+

        impl From<OwnConfig> for DeviceConfig {
            fn from(config: OwnConfig) -> Self {
                Self::Own(config)
            }
        }
    };
}

registry! {
    /// No error.
    "ideal" Ideal(IdealConfig),
    /// Four levels, the inner ones wider: RRAM1, FeFET2, FeFET3, RRAM4, FeFET6.
    "four-level" FourLevel(FourLevelConfig),
    /// Phase change, mushroom cell.
    "pcm-mushroom" PcmMushroom(PcmMushroomConfig),
    /// Phase change, programming error alone.
    "pcm-joshi" PcmJoshi(PcmJoshiConfig),
    /// Phase change of the HERMES chip.
    "pcm-hermes" PcmHermes(PcmHermesConfig),
    /// Phase change of the HERMES chip, one error per weight.
    "hermes-afm" HermesAfm(HermesAfmConfig),
    /// Resistive memory of the NeuRRAM chip.
    "reram-wan" ReramWan(ReramWanConfig),
    /// Multilevel resistive memory with a nonlinear current.
    "reram-milo" ReramMilo(ReramMiloConfig),
    /// Analog resistive memory of CMO/HfOx.
    "reram-cmo" ReramCmo(ReramCmoConfig),
    /// Charge-trap memory.
    "sonos" Sonos(SonosConfig),
    /// Drift and errors that do not depend on the state.
    "state-independent" StateIndependent(StateIndependentConfig),
    /// The same error at every conductance.
    "additive" Additive(AdditiveConfig),
    /// An error proportional to the conductance.
    "proportional" Proportional(ProportionalConfig),
    /// An error inversely proportional to the conductance.
    "inverse-proportional" InverseProportional(InverseProportionalConfig),
    /// An error proportional to the digit, new at every read.
    "neurosim" Neurosim(NeurosimConfig),
    /// A table of measurements.
    "table" Table(TableConfig),
}
