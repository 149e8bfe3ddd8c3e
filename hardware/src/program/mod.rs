//! Writing cells: the number of pulses until a cell holds its target, and the remaining error.
//!
//! [`WriteVerify`] draws a cell anew until it is close enough. [`IncrementalWriteVerify`] corrects it step by step. A
//! [`Verification`] is one of these two. [`SelectiveWriteVerify`] spends pulses only on the weights that matter most. All
//! accept a cell by the same rule, [`Acceptance`], and give a [`Programmed`] array with its cost in pulses and reads. A draw
//! is a function of the index of its cell and of the pulse: no number of threads changes it.
//!
//! ```
//! use crossburn_hardware::device::ConductanceRange;
//! use crossburn_hardware::program::{PulseEnergy, WriteVerify};
//! use crossburn_hardware::units::Joule;
//! use crossburn_noise::ChipSeed;
//!
//! let range = ConductanceRange { g_min: 1.0, g_max: 101.0 };
//! let verify = WriteVerify::new(0.05, 0.1, 50)?;
//! let draws = ChipSeed::new(7, 17).generator("fc1.weight/program");
//! let programmed = verify.draw(&[20.0, 80.0], range, &draws);
//! assert!(programmed.conductances.iter().zip([20.0, 80.0]).all(|(g, target)| (g - target).abs() <= 5.0));
//! let energy = PulseEnergy { pulse: Joule::new(1e-11), read: Joule::new(1e-13) };
//! assert!(programmed.energy(&energy).get() >= 2.02e-11);
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```
mod acceptance;
mod incremental;
mod programmed;
mod selective;
mod verification;
mod write_verify;

pub use acceptance::Acceptance;
pub use incremental::IncrementalWriteVerify;
pub use programmed::{Programmed, PulseEnergy};
pub use selective::SelectiveWriteVerify;
pub use verification::Verification;
pub use write_verify::WriteVerify;
