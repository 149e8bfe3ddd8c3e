//! The scores of the TinyML contests at ICCAD, for a detector on a microcontroller.

/// Milliseconds of an inference, and KiB of flash memory in 2022 and in 2023: the best that counts, and the worst.
const LATENCY: [f64; 2] = [1.0, 200.0];
const MEMORY_2022: [f64; 2] = [5.0, 256.0];
const MEMORY_2023: [f64; 2] = [5.0, 64.0];
/// What latency and memory count each.
const COST: f64 = 20.0;

/// The score of 2022: `100 F + 20 L + 20 M`, with `L = 1 - (ms - 1) / 199` and `M = 1 - (KiB - 5) / 251`, each at most 1.
///
/// `f_beta` is F with beta 2, from 0 to 1.
///
/// # Source
/// The contest's rules; the constants are confirmed by four rows of its board.
pub fn contest_score_2022(f_beta: f64, milliseconds: f64, kibibytes: f64) -> f64 {
    let cost = share(milliseconds, LATENCY) + share(kibibytes, MEMORY_2022);
    100.0 * f_beta + COST * cost
}

/// The score of 2023, which also asks for a detector that works for every patient: `70 F + 30 G + 20 L + 20 M`, with `M = 1 - (KiB - 5) / 59` on
/// a smaller controller. `good_patients` is G, the share of patients whose own F is above a threshold.
///
/// # Source
/// Reconstructed: the weights 70 and 30 and the 64 KiB are those that give the one row of the board with all its numbers (132.29 of F .9736,
/// G 17/19, 1.52 ms, 12.83 KiB). The rules themselves were not at hand.
pub fn contest_score_2023(
    f_beta: f64,
    good_patients: f64,
    milliseconds: f64,
    kibibytes: f64,
) -> f64 {
    let cost = share(milliseconds, LATENCY) + share(kibibytes, MEMORY_2023);
    70.0 * f_beta + 30.0 * good_patients + COST * cost
}

/// 1 at the best value or below it, falling to 0 at the worst, and below 0 beyond it.
fn share(value: f64, [best, worst]: [f64; 2]) -> f64 {
    (1.0 - (value - best) / (worst - best)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_boards() {
        // F, milliseconds, KiB, the published score. F has three decimals: half of the last one is 0.05 of the score.
        for (f_beta, milliseconds, kibibytes, published) in [
            (0.972, 1.747, 26.39, 135.43),
            (0.946, 1.712, 24.48, 132.98),
            (0.934, 0.538, 11.18, 132.91),
            (0.978, 26.2, 35.46, 132.84),
        ] {
            let score = contest_score_2022(f_beta, milliseconds, kibibytes);
            assert!((score - published).abs() < 0.055, "{score} {published}");
        }
        let score = contest_score_2023(0.9736, 17.0 / 19.0, 1.52, 12.83);
        // F has four decimals here: 0.0035 of the score.
        assert!((score - 132.29).abs() < 0.009, "{score}");
    }

    #[test]
    fn cheaper_than_the_best_counts_as_the_best() {
        assert_eq!(contest_score_2022(1.0, 0.1, 2.0), 140.0);
        assert_eq!(contest_score_2022(0.0, 200.0, 256.0), 0.0);
        assert_eq!(contest_score_2023(1.0, 1.0, 1.0, 64.0), 120.0);
    }
}
