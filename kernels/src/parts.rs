//! How work is cut into parts, of which only its shape decides, and where it begins.

/// Runs `work` on a thread of the pool. A product in `work` then shares its parts with the other threads at once, while each one that begins outside
/// must first wake a thread up.
pub fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// Cuts `total` into the fewest parts of at most `most`, all of nearly the same size, as `(first, count)`. A `total` of 0 gives one empty part.
pub(crate) fn even_parts(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(most).max(1);
    (0..parts).map(move |part| {
        let cut = |part: usize| part * total / parts;
        (cut(part), cut(part + 1) - cut(part))
    })
}
