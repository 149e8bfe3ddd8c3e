//! How work is cut into parts; only its shape decides.

/// Cuts `total` into the fewest parts of at most `most`, all of nearly the same size, as `(first, count)`. A `total` of 0 gives one empty part.
pub(crate) fn even_parts(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(most).max(1);
    (0..parts).map(move |part| {
        let cut = |part: usize| part * total / parts;
        (cut(part), cut(part + 1) - cut(part))
    })
}
