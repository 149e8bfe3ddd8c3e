//! Records in the format of PhysioNet's WFDB: a header, files of samples, annotations.
//!
//! The readers are of this project: the one crate for the format (`wfdb`, 0.1) calls itself unstable and reads no annotations.
//! What a header says of a file is compared with the file before anything is allocated, and every signal is checked by the first value
//! and the checksum that the header gives.
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
