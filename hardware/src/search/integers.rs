//! Numbers as symmetric integers.

/// The integers `-level..=level`, with `level = 2^(bits-1) - 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Integers {
    level: f32,
}

impl Integers {
    /// Integers of `bits` bits, from 2 to 16.
    pub(super) fn of_bits(bits: u8) -> Self {
        Self {
            level: ((1u32 << (bits - 1)) - 1) as f32,
        }
    }

    /// The largest.
    pub(super) fn level(self) -> f32 {
        self.level
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        2 * self.level as usize + 1
    }

    /// The nearest integer to `x` in units of `full_scale / level`, ties to even, clipped at the ends.
    pub(super) fn nearest(self, x: f32, full_scale: f32) -> f32 {
        // In 64 bits: the quotient of two small numbers stays exact enough for the largest to become `level`.
        let steps = f64::from(x) / f64::from(full_scale) * f64::from(self.level);
        (steps.round_ties_even() as f32).clamp(-self.level, self.level)
    }
}

/// The means of `pool` neighbours of `vector`, whose length is a multiple of it.
pub(super) fn pooled(vector: &[f32], pool: usize) -> Vec<f32> {
    let mean = |part: &[f32]| {
        let sum: f64 = part.iter().map(|x| f64::from(*x)).sum();
        (sum / pool as f64) as f32
    };
    vector.chunks_exact(pool).map(mean).collect()
}

/// The largest magnitude; 0 of nothing.
pub(super) fn largest_magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_to_the_nearest_integer_and_stop_at_the_ends() {
        let integers = Integers::of_bits(4);
        assert_eq!((integers.level(), integers.count()), (7.0, 15));
        // A step is 0.25, so that halves of it are exact.
        for (x, code) in [
            (1.75, 7.0),
            (0.125, 0.0),
            (0.375, 2.0),
            (-0.625, -2.0),
            (-9.0, -7.0),
        ] {
            assert_eq!(integers.nearest(x, 1.75), code, "{x}");
        }
    }

    #[test]
    fn neighbours_are_averaged() {
        assert_eq!(pooled(&[1.0, 2.0, -3.0, 5.0], 2), [1.5, 1.0]);
        assert_eq!(pooled(&[1.0, 2.0, -3.0, 5.0], 4), [1.25]);
        assert_eq!(largest_magnitude(&[1.0, -3.0]), 3.0);
    }
}
