//! New vectors of many values, filled by all cores.
//!
//! Filling a tensor of a few megabytes costs as much as a pass over it. `vec![0.0; count]` fills it on one thread while the others wait: 6 % of the
//! processor time of a forward pass of convolutions on lines (`perf`, one thread). Here, pieces are made in the first-level cache and copied from
//! there, so that memory is written once. Writing results directly into uninitialized memory would save this pass too, but every operation would
//! need `unsafe` code.

use rayon::prelude::*;

/// Values of a piece: half a kilobyte. With 1024 values, relu takes half as long again.
const CHUNK: usize = 128;

/// Fewest values that a thread fills.
const LEAST: usize = 128 * CHUNK;

/// `count` values, made [`CHUNK`] at a time by `fill(first, chunk)`. The chunk holds zeros at first.
pub(crate) fn filled(count: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let chunk = |index: usize| {
        let first = index * CHUNK;
        let mut chunk = [0.0; CHUNK];
        fill(first, &mut chunk[..CHUNK.min(count - first)]);
        chunk
    };
    let chunks = 0..count.div_ceil(CHUNK);
    let values: Vec<[f32; CHUNK]> = if count <= LEAST {
        chunks.map(chunk).collect()
    } else {
        chunks
            .into_par_iter()
            .with_min_len(LEAST / CHUNK)
            .map(chunk)
            .collect()
    };
    let mut values = values.into_flattened();
    values.truncate(count);
    values
}

/// `count` zeros.
pub(crate) fn zeros(count: usize) -> Vec<f32> {
    match count <= LEAST {
        true => vec![0.0; count],
        false => filled(count, |_, _| {}),
    }
}

/// `count` lines of `width` values. `line` gives the values from which each is copied.
pub(crate) fn of_lines<'a>(
    count: usize,
    width: usize,
    line: impl Fn(usize) -> &'a [f32] + Sync,
) -> Vec<f32> {
    filled(count * width, |first, chunk| {
        let (mut index, mut column) = (first / width, first % width);
        let mut left = chunk;
        while !left.is_empty() {
            let (now, rest) = left.split_at_mut(left.len().min(width - column));
            now.copy_from_slice(&line(index)[column..column + now.len()]);
            (left, index, column) = (rest, index + 1, 0);
        }
    })
}

/// `count` copies of `row`.
pub(crate) fn repeated(row: &[f32], count: usize) -> Vec<f32> {
    of_lines(count, row.len(), |_| row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn every_value_is_filled_once() {
        for count in [0, 1, CHUNK - 1, CHUNK, LEAST, 3 * LEAST + 5] {
            let values = filled(count, |first, chunk| {
                for (index, value) in chunk.iter_mut().enumerate() {
                    *value += (first + index) as f32;
                }
            });
            let expected: Vec<f32> = (0..count).map(|index| index as f32).collect();
            assert_eq!(values, expected);
            assert_eq!(zeros(count), vec![0.0; count]);
        }
    }

    #[test]
    fn rows_are_repeated() {
        for (width, count) in [(0, 3), (1, 5), (7, 10_000), (300, 100)] {
            let row = numbers(1, width);
            assert_eq!(repeated(&row, count), row.repeat(count));
        }
    }
}
