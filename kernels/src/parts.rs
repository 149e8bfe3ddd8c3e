//! Cutting work by its shape.

/// `(first, count)` of as few parts of `total` as there can be with at most `most` each, of nearly the same size; one
/// empty part of nothing.
pub(crate) fn even_parts(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(most).max(1);
    (0..parts).map(move |part| {
        let cut = |part: usize| part * total / parts;
        (cut(part), cut(part + 1) - cut(part))
    })
}
