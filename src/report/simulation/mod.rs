//! What inferences take on a simulated accelerator, and what it decides.

mod document;
mod page;
mod plots;
mod signals;
mod summary;
mod table;
mod work;

pub(crate) use document::{MOST_SEGMENTS, MOST_SEQUENCES};
pub use document::{ShownSegment, ShownSequence, SimulatedLayer, Simulation};
pub(crate) use table::stored_form;
pub(crate) use work::{Work, mean_bits};
