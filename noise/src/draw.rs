//! Drawing a population over all cores.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{ChipSeed, over_cores};

/// The metric of the chips `chips` of the population `seed`, in chip order, over all cores of the current rayon pool.
///
/// `on_chip` is called for every finished chip, in any order. Setting `stop` ends the run once the chips in progress are
/// finished: the second result is then `true`, and the first holds the finished chips. Each chip takes the memory of one
/// number.
///
/// # Errors
/// The first error of `metric` that was met.
pub fn draw_population<E: Send>(
    seed: u64,
    chips: Range<u64>,
    metric: impl Fn(ChipSeed) -> Result<f64, E> + Sync,
    on_chip: impl Fn(u64, f64) + Sync,
    stop: &AtomicBool,
) -> Result<(Vec<(u64, f64)>, bool), E> {
    let one = |index: u64| -> Result<Option<(u64, f64)>, E> {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let value = metric(ChipSeed::new(seed, index))?;
        on_chip(index, value);
        Ok(Some((index, value)))
    };
    let drawn = over_cores(chips, &one)?;
    let stopped = drawn.iter().any(Option::is_none);
    Ok((drawn.into_iter().flatten().collect(), stopped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn chips_come_in_order_and_a_stop_keeps_the_finished_ones() {
        let metric = |chip: ChipSeed| Ok::<_, Infallible>(chip.generator("w").uniform(0));
        let stop = AtomicBool::new(false);
        let Ok((all, stopped)) = draw_population(3, 5..50, metric, |_, _| {}, &stop);
        assert!(!stopped && all.iter().map(|(chip, _)| *chip).eq(5..50));
        let halt = |chip, _| stop.store(chip >= 5, Ordering::Relaxed);
        let Ok((some, stopped)) = draw_population(3, 5..50, metric, halt, &stop);
        assert!(stopped && !some.is_empty() && some.iter().all(|pair| all.contains(pair)));
        let failed: Result<_, String> = draw_population(
            3,
            0..9,
            |_| Err("broken".to_string()),
            |_, _| {},
            &AtomicBool::new(false),
        );
        assert_eq!(failed, Err("broken".to_string()));
    }
}
