//! What several tests work on.

use crossburn_noise::Philox;

use crate::Classification;
use crate::data::{Normalization, Samples, Values};

/// Images of `[1, 1, pixels]` with labels by chance.
pub(crate) fn lines(seed: u64, pixels: usize, classes: usize, count: usize) -> Samples {
    let draws = Philox::new(seed, 0);
    let pixel = |i: usize| draws.below(i as u64, 256) as u8;
    let label = |i: usize| draws.below((1 << 20) + i as u64, classes as u32) as u16;
    Samples {
        shape: [1, 1, pixels],
        values: Values::Bytes((0..pixels * count).map(pixel).collect()),
        labels: (0..count).map(label).collect(),
        classes,
        class_names: Vec::new(),
        normalization: Normalization {
            mean: vec![0.5],
            std: vec![0.25],
        },
        origins: None,
    }
}

/// The samples as a task.
pub(crate) fn classes(set: &Samples) -> Classification {
    Classification::new(set.clone())
}
