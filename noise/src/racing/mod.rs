//! KPP(k) without evaluating every item on every chip: once the rank of a chip is settled, its evaluation stops.

mod count_bounds;
mod race;

pub use race::{Bracket, Race, RaceConfig, RaceObserver, RaceResult, RaceRound, race_order};
