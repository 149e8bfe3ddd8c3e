//! KPP(k) at a fraction of chips times items: chips whose rank is settled are looked at no further.

mod count_bounds;
mod race;

pub use race::{Bracket, Race, RaceConfig, RaceObserver, RaceResult, RaceRound, race_order};
