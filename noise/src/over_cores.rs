//! Work over all cores.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// The results of `one` for every number of `range`, in order, computed on all cores of the current rayon pool.
///
/// `one` is called through a pointer, so that the machinery of threads is compiled once, and not again for each closure of each network.
///
/// ```
/// use std::convert::Infallible;
///
/// let Ok(squares) = crossburn_noise::over_cores(1..5, &|number| Ok::<_, Infallible>(number * number));
/// assert_eq!(squares, [1, 4, 9, 16]);
/// ```
///
/// # Errors
/// An error of `one`. If several occur before all threads have stopped, the one of the lowest number.
pub fn over_cores<R: Send, E: Send>(
    range: Range<u64>,
    one: &(dyn Fn(u64) -> Result<R, E> + Sync),
) -> Result<Vec<R>, E> {
    let start = range.start;
    let made: Vec<Mutex<Option<R>>> = range.clone().map(|_| Mutex::new(None)).collect();
    let failed: Mutex<Option<(u64, E)>> = Mutex::new(None);
    until_failure(range, &|number| match one(number) {
        Ok(result) => {
            let place = &made[(number - start) as usize];
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            true
        }
        Err(error) => {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.as_ref().is_none_or(|(first, _)| number < *first) {
                *failed = Some((number, error));
            }
            false
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(made
            .into_iter()
            .filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner))
            .collect()),
    }
}

/// Calls `one` for the numbers of `range` over all cores, until it says `false`.
fn until_failure(range: Range<u64>, one: &(dyn Fn(u64) -> bool + Sync)) {
    range.into_par_iter().all(one);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn results_come_in_order_and_an_error_ends_the_work() {
        let found = over_cores(3..1000, &|number| Ok::<_, String>(number.to_string()));
        let expected: Vec<String> = (3..1000).map(|number| number.to_string()).collect();
        assert_eq!(found, Ok(expected));
        let seen = AtomicU64::new(0);
        let failed = over_cores(0..1_000_000, &|number| {
            seen.fetch_add(1, Ordering::Relaxed);
            match number % 1000 {
                7 => Err(number),
                _ => Ok(()),
            }
        });
        // The first range of a thread starts at a multiple that nobody knows; its first failure is one of these numbers.
        assert!(failed.is_err_and(|number| number % 1000 == 7));
        assert!(seen.into_inner() < 1_000_000);
        assert_eq!(over_cores(5..5, &|_| Err::<(), _>("called")), Ok(vec![]));
    }
}
