//! Devices: how far one memory cell misses its target.
//!
//! A [`DeviceConfig`] is the content of a configuration file, and a [`MemoryDevice`] its checked form. Every family is one
//! file with its published law, the range that it was fitted on, and its source. Values outside this range are refused.
//! Effects have four lifetimes: a *programming* error is drawn at every write, *ageing* (drift, relaxation) once per cell
//! and write, the slow part of 1/f noise once per cell and time of reading, and *read noise* at every read. Faults come on
//! top of any device; [`DriftCompensation`] is digital and comes after reading.
//!
//! ```
//! use crossburn_hardware::device::MemoryDevice;
//! use crossburn_noise::ChipSeed;
//!
//! let device = MemoryDevice::from_toml(r#"
//!     kind = "proportional"
//!     sigma_rel_g = 0.05
//!     g_min = "1 uS"
//!     g_max = "100 uS"
//! "#)?;
//! let cells = device.program(&[1.0, 50.0, 100.0], &ChipSeed::new(7, 17).generator("fc.weight"));
//! assert_eq!(cells.len(), 3);
//! assert!((device.programming_moments(50.0).sigma - 2.5).abs() < 1e-9);
//! assert!(!device.has_drift());
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```
//!
//! Bulk conductances are in microsiemens, scalars in configurations carry their unit.

mod additive;
mod ageing;
mod bulk;
mod checked_device;
mod conductance_range;
mod drift_compensation;
mod elementary;
mod faults;
mod flicker;
mod four_level;
mod generic_error;
mod hermes_afm;
mod ideal;
mod inverse_proportional;
mod iv_curve;
mod law;
mod moments;
mod neurosim;
mod own;
mod pcm_hermes;
mod pcm_joshi;
mod pcm_mushroom;
mod power_law;
mod presets;
mod programming;
mod proportional;
mod read_noise;
mod refusal;
mod registry;
mod relaxation;
mod reram_cmo;
mod reram_milo;
mod reram_wan;
mod sonos;
mod state_independent;
mod table;
#[cfg(test)]
mod tests;

pub use additive::AdditiveConfig;
pub use ageing::{Ageing, NoAgeing};
pub use checked_device::MemoryDevice;
pub use conductance_range::ConductanceRange;
pub use drift_compensation::DriftCompensation;
pub use faults::Faults;
pub use four_level::{FourLevelCell, FourLevelConfig};
pub use hermes_afm::HermesAfmConfig;
pub use ideal::IdealConfig;
pub use inverse_proportional::InverseProportionalConfig;
pub use iv_curve::IvCurve;
pub use law::Law;
pub use moments::{Bounds, Moments, RawMoments};
pub use neurosim::{NeurosimConfig, Redraw};
pub use own::OwnConfig;
pub use pcm_hermes::PcmHermesConfig;
pub use pcm_joshi::PcmJoshiConfig;
pub use pcm_mushroom::PcmMushroomConfig;
pub use programming::{Programming, Shape, Spread};
pub use proportional::ProportionalConfig;
pub use read_noise::{NoReadNoise, ReadNoise};
pub use registry::DeviceConfig;
pub use reram_cmo::ReramCmoConfig;
pub use reram_milo::ReramMiloConfig;
pub use reram_wan::ReramWanConfig;
pub use sonos::SonosConfig;
pub use state_independent::StateIndependentConfig;
pub use table::{DriftTable, ReadNoiseTable, RetentionTable, TableConfig};
