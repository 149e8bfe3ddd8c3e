//! What one network costs on one hardware.

mod document;
mod floor_plan;
mod page;
mod plots;
mod summary;
mod table;

pub use document::{Mapping, MappingData};
