//! Faces of people in groups: a procedural set, folders of images, and lists of pairs.
//!
//! The label of a sample is the group of the person, and its origin is the person. Splits by origin therefore keep a person on one side.

mod alignment;
mod comparisons;
mod drawing;
mod folder;
mod framing;
mod landmarks;
mod person;
mod procedural;
mod sets;

pub use comparisons::{Comparison, read_comparisons, read_images};
pub(super) use folder::KIND as FOLDER;
pub use framing::Framing;
pub use landmarks::Landmarks;
pub(super) use procedural::KIND as PROCEDURAL;
pub use procedural::{Condition, FacesConfig, GROUPS, Style, faces};
pub use sets::{grey_squares, together};

/// The names of the people who are on `samples`.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
fn people(samples: &super::Samples) -> std::collections::BTreeSet<String> {
    let origins = samples.origins.as_ref().unwrap();
    origins.names().map(str::to_string).collect()
}
