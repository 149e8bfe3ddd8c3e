//! Faces of identities in groups: a procedural set, folders of images, and lists of pairs.
//!
//! A sample's label is the group of the person, its origin the person: splits by origin part people, and groups travel with samples.

mod comparisons;
mod drawing;
mod folder;
mod person;
mod procedural;

pub use comparisons::{Comparison, read_comparisons, read_images};
pub(super) use folder::KIND as FOLDER;
pub(super) use procedural::KIND as PROCEDURAL;
pub use procedural::{Condition, FacesConfig, GROUPS, Style, faces};
