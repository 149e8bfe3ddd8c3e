//! Lesions in volumes of brains.

mod score;
mod sheet;

pub(crate) use score::{MAP_FILE, SHEET_FILE, ScoreJob};
