//! The score of the TinyML contest at ICCAD 2022, for a detector on a microcontroller.

/// Milliseconds of an inference, and KiB of flash memory: the best that counts, and the worst.
const LATENCY: [f64; 2] = [1.0, 200.0];
const MEMORY: [f64; 2] = [5.0, 256.0];

/// The score `100 F + 20 L + 20 M`, with `L = 1 - (ms - 1) / 199` and `M = 1 - (KiB - 5) / 251`, each at most 1. `f_beta` is F with
/// beta 2, from 0 to 1.
///
/// Milliseconds and KiB are those on the contest's microcontroller, which is not simulated here: they come from a measurement.
///
/// # Source
/// The contest's rules; the constants are confirmed by four rows of its board.
///
/// ```
/// // The winner: F2 0.972 in 1.747 ms and 26.39 KiB; the board has 135.43.
/// let score = crossburn_training::contest_score(0.972, 1.747, 26.39);
/// assert!((score - 135.43).abs() < 0.055);
/// ```
pub fn contest_score(f_beta: f64, milliseconds: f64, kibibytes: f64) -> f64 {
    100.0 * f_beta + 20.0 * (share(milliseconds, LATENCY) + share(kibibytes, MEMORY))
}

/// 1 at the best value or below it, falling to 0 at the worst, and below 0 beyond it.
fn share(value: f64, [best, worst]: [f64; 2]) -> f64 {
    (1.0 - (value - best) / (worst - best)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_board() {
        // F, milliseconds, KiB, the published score. F has three decimals: half of the last one is 0.05 of the score.
        for (f_beta, milliseconds, kibibytes, published) in [
            (0.972, 1.747, 26.39, 135.43),
            (0.946, 1.712, 24.48, 132.98),
            (0.934, 0.538, 11.18, 132.91),
            (0.978, 26.2, 35.46, 132.84),
        ] {
            let score = contest_score(f_beta, milliseconds, kibibytes);
            assert!((score - published).abs() < 0.055, "{score} {published}");
        }
    }

    #[test]
    fn cheaper_than_the_best_counts_as_the_best() {
        assert_eq!(contest_score(1.0, 0.1, 2.0), 140.0);
        assert_eq!(contest_score(0.0, 200.0, 256.0), 0.0);
    }
}
