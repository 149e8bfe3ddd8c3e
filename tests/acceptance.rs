//! The acceptance points of three papers, as one would check them: 45 minutes of training, with the feature `acceptance`.
//!
//! ```text
//! cargo test --release --workspace --features crossburn/acceptance --test acceptance
//! ```
//!
//! The points are what a smaller network was expected to meet, not the papers' own numbers. Those that LeNet on procedural
//! digits does not meet are ignored, each with its reason; `--include-ignored` runs them too, and they fail.
//! `docs/results/bad-chips.md` and `docs/results/percentiles.md` say by how much. All points of a paper share one run of `crossburn reproduce`. Two points are tests
//! of their own elsewhere: deviations stay in their bounds, and a bound of zero reproduces the clean accuracy
//! (`noise/src/worst_case/`); the censored draws have their closed-form moments (`noise/src/distribution/`).
#![cfg(feature = "acceptance")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use command::{good, json};

static WORST_CASE: LazyLock<Value> = LazyLock::new(|| reproduce("worst-case", 5));
static KPP: LazyLock<Value> = LazyLock::new(|| reproduce("kpp", 3));
static ECG: LazyLock<Value> = LazyLock::new(|| reproduce("ecg", 5));

/// Runs the experiment; its tables stay in the folder `tmp/acceptance` of the target folder.
fn reproduce(paper: &str, seeds: u64) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let command = format!("reproduce {paper} --seeds {seeds} --out acceptance/{paper} --json");
    json(&good(folder, &command))
}

/// Asserts that all claims that start with `what` hold, and that there is one.
fn holds(document: &Value, what: &str) {
    let claims = document["claims"].as_array().unwrap();
    let named = |claim: &&Value| claim["what"].as_str().unwrap().starts_with(what);
    let claims: Vec<&Value> = claims.iter().filter(named).collect();
    assert!(!claims.is_empty(), "no claim starts with: {what}");
    for claim in claims {
        assert_eq!(claim["verdict"], "holds", "{claim}");
    }
}

/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626) and TCAD 2024 (arXiv 2312.06137).
mod worst_case {
    use super::{WORST_CASE, holds};

    #[test]
    fn a_search_finds_what_random_deviations_do_not() {
        holds(
            &WORST_CASE,
            "points that the lowest of all random deviations loses",
        );
        holds(&WORST_CASE, "points that the search takes");
    }

    #[test]
    #[ignore = "unresolved: 0.1 [-0.2, 0.5] and 1.6 [-1.0, 4.3] points of a worst case of 8 %"]
    fn more_passes_are_never_weaker() {
        holds(&WORST_CASE, "points that twice the passes take further");
    }

    #[test]
    #[ignore = "holds for every training with noise, unresolved without: 2.4 [-0.3, 5.0]"]
    fn the_search_is_as_strong_as_the_better_of_two_single_ones() {
        holds(&WORST_CASE, "points that the search takes further");
    }

    #[test]
    #[ignore = "unresolved: 19.4 [9.8, 28.9] where 20 points are expected"]
    fn adversarial_noise_training_raises_the_floor() {
        holds(&WORST_CASE, "worst case, A-TRICE over none");
    }

    #[test]
    fn adversarial_noise_training_raises_the_floor_above_that_of_noise_alone() {
        holds(&WORST_CASE, "worst case, A-TRICE over right-censored");
        holds(&WORST_CASE, "worst case, A-TRICE over Gaussian");
    }

    #[test]
    #[ignore = "noise alone gains 2 of the 20 points expected"]
    fn noise_training_raises_the_floor() {
        holds(&WORST_CASE, "worst case, Gaussian over none");
        holds(&WORST_CASE, "worst case, right-censored over none");
    }
}

/// Yan et al., ICCAD 2023 (arXiv 2307.15853).
mod kpp {
    use super::{KPP, holds};

    #[test]
    fn noise_training_raises_the_first_percentile() {
        holds(&KPP, "KPP(1) that training without noise loses");
        holds(&KPP, "KPP(1), tuned Gaussian over none");
        holds(&KPP, "KPP(1), tuned right-censored over none");
        holds(&KPP, "KPP(1), TRICE over none");
    }

    #[test]
    #[ignore = "LeNet bears Gaussian noise of 0.3 well, where the pilot's perceptron did not"]
    fn right_censored_noise_beats_gaussian_of_equal_strength() {
        holds(&KPP, "KPP(1), right-censored 0.3 over Gaussian 0.3");
    }

    #[test]
    #[ignore = "eight points lower with ten epochs of 55 steps"]
    fn the_search_for_the_strength_is_as_good_as_tuned_gaussian() {
        holds(&KPP, "KPP(1), TRICE over tuned Gaussian");
    }

    #[test]
    #[ignore = "five points lower with ten epochs of 55 steps"]
    fn the_search_for_the_strength_finds_the_best_of_a_grid() {
        holds(&KPP, "KPP(1), TRICE over the best right-censored strength");
    }

    #[test]
    fn the_search_for_the_strength_costs_three_trainings() {
        holds(&KPP, "budget of TRICE");
    }

    #[test]
    fn percentiles_are_in_order() {
        holds(
            &KPP,
            "trainings whose KPP(1), KPP(10), KPP(50) are not in order",
        );
    }
}

/// Qin et al., ASP-DAC 2025 (arXiv 2410.17395).
mod ecg {
    use super::{ECG, holds};

    #[test]
    fn balanced_pruning_halves_the_cycles_and_pruning_without_a_pattern_does_not() {
        holds(&ECG, "cycles of those of the dense network");
    }

    #[test]
    fn the_accelerator_computes_the_integer_network_to_the_bit() {
        holds(
            &ECG,
            "test segments with the results of the integer network",
        );
    }

    #[test]
    #[ignore = "unresolved: 0.7 [-1.1, 2.5] points"]
    fn mixed_widths_and_balanced_pruning_lose_less_than_a_point() {
        holds(&ECG, "points lost: mixed, mean 4 bits, 2:4");
    }

    #[test]
    fn votes_are_right_more_often_than_segments() {
        holds(&ECG, "points that a vote of six gains");
    }

    #[test]
    fn full_precision_is_neither_trivial_nor_hopeless() {
        holds(&ECG, "accuracy of segments in full precision");
    }

    #[test]
    fn eight_bits_and_mixed_widths_pruned_in_sixteens_lose_little() {
        holds(&ECG, "points that 8 bits lose");
        holds(&ECG, "points lost: mixed, mean 4 bits, 8:16");
    }

    #[test]
    #[ignore = "unresolved within five seeds, whose patients differ: intervals of 1.1 to 6.0 points"]
    fn narrow_widths_order_as_expected() {
        holds(&ECG, "points, mixed");
    }

    #[test]
    #[ignore = "94.8 % of votes: six segments of a patient are wrong together"]
    fn nearly_all_votes_are_right() {
        holds(&ECG, "votes that are right");
    }
}
