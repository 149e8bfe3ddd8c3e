//! The scores of the TinyML contests at ICCAD 2022 and 2023, for a detector on a microcontroller.

/// Milliseconds of an inference, and KiB of flash memory: the best that counts, and the worst.
const LATENCY: [f64; 2] = [1.0, 200.0];
const MEMORY: [f64; 2] = [5.0, 256.0];
/// KiB of flash memory in 2023, on a smaller microcontroller.
const SMALLER_MEMORY: [f64; 2] = [5.0, 64.0];

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

/// The score of 2023, `70 F + 30 G + 20 L + 20 M`: `good_patients` is G, the share of patients whose F2 is above a threshold
/// (`task.good_patient` of a recipe), and `M = 1 - (KiB - 5) / 59` is about a microcontroller with 64 KiB of flash memory. L is that of
/// [`contest_score`].
///
/// # Validity
/// The weights 70 and 30 and the 64 KiB are inferred: they are the round numbers that give the published score of the one row whose figures and
/// score are both known here.
///
/// # Source
/// The board of the contest of 2023.
///
/// ```
/// // The winner: F2 0.9736, 17 of 19 patients, 1.52 ms and 12.83 KiB; the board has 132.29.
/// let score = crossburn_training::contest_score_2023(0.9736, 17.0 / 19.0, 1.52, 12.83);
/// assert!((score - 132.29).abs() < 0.01);
/// ```
pub fn contest_score_2023(
    f_beta: f64,
    good_patients: f64,
    milliseconds: f64,
    kibibytes: f64,
) -> f64 {
    let cost = share(milliseconds, LATENCY) + share(kibibytes, SMALLER_MEMORY);
    70.0 * f_beta + 30.0 * good_patients + 20.0 * cost
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
    fn the_score_of_2023_is_that_of_the_winner_and_the_winner_wins() {
        // F, G, milliseconds, KiB. F has four decimals, G three: half of their last ones are 0.0185 of the score.
        let winner = contest_score_2023(0.9736, 0.895, 1.52, 12.83);
        assert!((winner - 132.29).abs() < 0.0185, "{winner}");
        for (f_beta, good, milliseconds, kibibytes) in
            [(0.978, 0.895, 8.0, 25.19), (0.9445, 0.842, 1.33, 12.19)]
        {
            assert!(contest_score_2023(f_beta, good, milliseconds, kibibytes) < winner);
        }
        // A perfect detector that takes all memory and all time.
        assert_eq!(contest_score_2023(1.0, 1.0, 200.0, 64.0), 100.0);
    }

    #[test]
    fn cheaper_than_the_best_counts_as_the_best() {
        assert_eq!(contest_score(1.0, 0.1, 2.0), 140.0);
        assert_eq!(contest_score(0.0, 200.0, 256.0), 0.0);
    }
}
