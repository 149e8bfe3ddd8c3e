//! Lesions in volumes of brains.

mod preparation;
mod score;
mod sheet;

pub(crate) use preparation::Overrides;
pub(crate) use score::{MAP_FILE, SHEET_FILE, ScoreJob};
