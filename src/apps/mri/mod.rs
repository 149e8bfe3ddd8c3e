//! Lesions in volumes and slices of brains.

mod preparation;
mod score;
mod sheet;

pub(crate) use preparation::Overrides;
pub(crate) use score::{Form, SHEET_FILE, ScoreJob, slices_in_words};
