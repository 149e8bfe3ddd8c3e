//! Records in PhysioNet's WFDB format: a header, files of samples, annotations.
//!
//! These readers are the project's own: the only crate for the format (`wfdb`, 0.1) calls itself unstable and reads no annotations. Sizes in a
//! header are compared with the file before anything is allocated. Every signal is checked against the first value and the checksum in the
//! header.
//!
//! # Source
//! The formats as `header(5)`, `signal(5)` and `annot(5)` of the WFDB Applications Guide describe them (G. Moody; A. Goldberger et al.,
//! Circulation 2000).

mod annotations;
mod encoding;
mod header;
mod record;
mod records;
mod source;

pub use record::{Record, Signal};

pub(super) use source::KIND;
