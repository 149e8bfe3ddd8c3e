//! Makes each evaluation only once, even if several searches ask for the same design at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crossburn_training::TrainingError;
use crossburn_training::search::{Design, Judged};

/// The evaluation of one design. It is locked while it is made.
type Place = Arc<Mutex<Option<Judged>>>;

/// The evaluations of designs. Each is made once.
#[derive(Debug, Default)]
pub(super) struct Once(Mutex<BTreeMap<Design, Place>>);

impl Once {
    /// The evaluation of `design`. The first caller makes it with `make`; others wait for it.
    ///
    /// # Errors
    /// Those of `make`. The next caller tries again.
    pub(super) fn get(
        &self,
        design: &Design,
        make: &dyn Fn() -> Result<Judged, TrainingError>,
    ) -> Result<Judged, TrainingError> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::clone(places.entry(design.clone()).or_default());
        drop(places);
        let mut judged = place.lock().unwrap_or_else(PoisonError::into_inner);
        match &*judged {
            Some(judged) => Ok(judged.clone()),
            None => Ok(judged.insert(make()?).clone()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crossburn_training::search::{Space, SpaceConfig};

    use super::*;

    #[test]
    fn whoever_asks_meanwhile_waits_and_a_failure_is_tried_again() {
        let config: SpaceConfig = toml::from_str("name = \"a\"\nnetwork.x = [1, 2]").unwrap();
        let designs: Vec<Design> = Space::new(config).unwrap().designs().collect();
        let (once, made, barrier) = (Once::default(), AtomicUsize::new(0), Barrier::new(4));
        let make = || match made.fetch_add(1, Ordering::SeqCst) {
            0 => Err(TrainingError::Stopped),
            number => Ok(Judged::Measured(vec![number as f64])),
        };
        assert!(once.get(&designs[0], &make).is_err());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let judged = once.get(&designs[0], &make).unwrap();
                    assert_eq!(judged, Judged::Measured(vec![1.0]));
                });
            }
        });
        let other = once.get(&designs[1], &make).unwrap();
        assert_eq!(other, Judged::Measured(vec![2.0]));
    }
}
