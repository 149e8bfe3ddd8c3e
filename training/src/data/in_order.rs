//! Work on several threads that reports the first error in order of the items, whichever thread failed first.

use rayon::prelude::*;

use crate::TrainingError;

/// The results of `make` for every item, in the order of the items.
///
/// # Errors
/// The error of the first item that failed, on any number of threads.
pub(super) fn all_in_order<T: Sync, R: Send>(
    items: &[T],
    make: impl Fn(&T) -> Result<R, TrainingError> + Send + Sync,
) -> Result<Vec<R>, TrainingError> {
    let made: Vec<Result<R, TrainingError>> = items.par_iter().map(make).collect();
    made.into_iter().collect()
}

/// The first error in the order of the items.
pub(super) fn first_error(
    results: impl ParallelIterator<Item = Result<(), TrainingError>>,
) -> Result<(), TrainingError> {
    let first = results.filter_map(Result::err).find_first(|_| true);
    first.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_in_order_is_named() {
        // Later items fail at once, the first failing item fails late.
        let make = |item: &u64| match item {
            0..3 => Ok(2 * item),
            3 => {
                std::thread::sleep(std::time::Duration::from_millis(20));
                Err(TrainingError::data("3", "", ""))
            }
            other => Err(TrainingError::data(other.to_string(), "", "")),
        };
        assert_eq!(all_in_order(&[0, 1, 2], make).ok(), Some(vec![0, 2, 4]));
        let items: Vec<u64> = (0..100).collect();
        let message = |result: Result<(), TrainingError>| match result {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        let all = all_in_order(&items, make).map(|_| ());
        let none = first_error(items.par_iter().map(|item| make(item).map(|_| ())));
        assert!(message(all).starts_with("3:") && message(none).starts_with("3:"));
    }
}
