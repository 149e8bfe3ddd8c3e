//! The registry of device families.

use crossburn_noise::ParameterDraws;
use serde::{Deserialize, Serialize};

use super::additive::{Additive, AdditiveConfig};
use super::ageing::{self, Ageing};
use super::four_level::{FourLevel, FourLevelConfig};
use super::hermes_afm::{HermesAfm, HermesAfmConfig};
use super::ideal::{Ideal, IdealConfig};
use super::inverse_proportional::{InverseProportional, InverseProportionalConfig};
use super::law::Law;
use super::moments::RawMoments;
use super::neurosim::{Neurosim, NeurosimConfig};
use super::pcm_hermes::{PcmHermes, PcmHermesConfig};
use super::pcm_joshi::{PcmJoshi, PcmJoshiConfig};
use super::pcm_mushroom::{PcmMushroom, PcmMushroomConfig};
use super::programming;
use super::proportional::{Proportional, ProportionalConfig};
use super::read_noise;
use super::reram_cmo::{ReramCmo, ReramCmoConfig};
use super::reram_milo::{ReramMilo, ReramMiloConfig};
use super::reram_wan::{ReramWan, ReramWanConfig};
use super::sonos::{Sonos, SonosConfig};
use super::state_independent::{StateIndependent, StateIndependentConfig};
use super::table::{Table, TableConfig};
use super::{ConductanceRange, IvCurve};
use crate::HardwareError;

/// The ageing of a law.
type AgeingOf<L> = <L as Law>::Ageing;

macro_rules! registry {
    ($($(#[$doc:meta])* $name:literal $kind:ident($config:ident)),+ $(,)?) => {
        /// What a device is, unchecked: in TOML the key `kind` names the family, beside its own keys; any other key is
        /// refused. A [`MemoryDevice`](super::MemoryDevice) is the checked form, and has faults besides.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", deny_unknown_fields)]
        pub enum DeviceConfig {
            $($(#[$doc])* #[serde(rename = $name)] $kind($config)),+
        }

        impl DeviceConfig {
            /// The name of the family in configurations.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                }
            }

            /// Names of all families.
            pub fn kinds() -> &'static [&'static str] {
                &[$($name),+]
            }

            pub(super) fn check(&self) -> Result<AnyLaw, HardwareError> {
                match self {
                    $(Self::$kind(config) => config.check().map(AnyLaw::$kind),)+
                }
            }
        }

        $(impl From<$config> for DeviceConfig {
            fn from(config: $config) -> Self {
                Self::$kind(config)
            }
        })+

        /// One checked device of any family.
        #[derive(Clone, Debug, PartialEq)]
        pub(super) enum AnyLaw {
            $($kind($kind)),+
        }

        impl AnyLaw {
            pub(super) fn range(&self) -> ConductanceRange {
                match self { $(Self::$kind(law) => Law::range(law),)+ }
            }

            pub(super) fn levels(&self) -> Option<Vec<f32>> {
                match self { $(Self::$kind(law) => law.levels(),)+ }
            }

            pub(super) fn iv_curve(&self) -> Option<IvCurve> {
                match self { $(Self::$kind(law) => law.iv_curve(),)+ }
            }

            pub(super) fn program(&self, targets: &[f32], draws: &dyn ParameterDraws) -> Vec<f32> {
                match self { $(Self::$kind(law) => programming::program(law, targets, draws),)+ }
            }

            pub(super) fn programming_moments(&self, target: f64) -> RawMoments {
                match self { $(Self::$kind(law) => programming::moments(law, target),)+ }
            }

            pub(super) fn has_drift(&self) -> bool {
                match self {
                    $(Self::$kind(law) => <AgeingOf<$kind>>::EXISTS && !matches!(law.ageing(1.0), Ok(None)),)+
                }
            }

            /// Whether there is a time law, an error where it does not reach.
            pub(super) fn check_after(&self, after: f64) -> Result<bool, HardwareError> {
                match self { $(Self::$kind(law) => Ok(law.ageing(after)?.is_some()),)+ }
            }

            pub(super) fn age(
                &self,
                programmed: Vec<f32>,
                targets: &[f32],
                after: f64,
                draws: &dyn ParameterDraws,
            ) -> Result<Vec<f32>, HardwareError> {
                match self {
                    $(Self::$kind(law) => Ok(match law.ageing(after)? {
                        Some(ageing) => ageing::age(&ageing, programmed, targets, draws),
                        None => programmed,
                    }),)+
                }
            }

            pub(super) fn aged_moments(&self, target: f64, after: f64) -> Result<RawMoments, HardwareError> {
                match self {
                    $(Self::$kind(law) => Ok(match law.ageing(after)? {
                        Some(ageing) => ageing::aged_moments(law, &ageing, target),
                        None => programming::moments(law, target),
                    }),)+
                }
            }

            pub(super) fn has_read_noise(&self) -> bool {
                match self { $(Self::$kind(law) => law.read(0.0).is_some(),)+ }
            }

            pub(super) fn read_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>> {
                match self {
                    $(Self::$kind(law) => law.read(after).map(|read| read_noise::read_sigma(&read, conductances)),)+
                }
            }

            pub(super) fn held_sigma(&self, conductances: &[f32], after: f64) -> Option<Vec<f32>> {
                match self {
                    $(Self::$kind(law) => law.held(after).map(|held| read_noise::read_sigma(&held, conductances)),)+
                }
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
