//! Slices of brains, as magnetic resonance imaging gives them: a procedural set, and what is done to intensities before a network sees
//! them.

mod anatomy;
mod field;
mod intensity;
mod phantom;

pub use field::smooth_field;
pub use intensity::{Means, Reverse};
pub(super) use phantom::KIND as PHANTOM;
pub use phantom::{Contrast, PhantomConfig, phantom, phantom_without_lesions};

/// The classes of slices, in the order of the labels.
const CLASSES: [&str; 2] = ["healthy", "lesion"];
