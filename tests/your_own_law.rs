//! Laws that the library has never heard of: of weights, and of a memory cell.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../examples/08_your_own_law.rs"]
#[allow(dead_code, reason = "its main is not run")]
mod own;

use crossburn::noise::{ChipSeed, Distribution, Variation};

#[test]
fn own_laws_train_networks_and_make_chips() {
    let found = own::run().unwrap();
    // Ten classes of digits: a network that has not learned is right on a tenth.
    assert!(found.clean > 0.5, "{}", found.clean);
    let ([laplace, laplace_kpp], [gaussian, gaussian_kpp]) = (found.laplace, found.gaussian);
    for (mean, kpp) in [(laplace, laplace_kpp), (gaussian, gaussian_kpp)] {
        assert!(kpp < mean && mean > 0.3, "{kpp} {mean}");
    }
    // The same seeds under two laws of one strength: other chips, of about the same accuracy.
    assert!(laplace != gaussian && (laplace - gaussian).abs() < 0.1);
    for programmed in [found.written, found.aged] {
        assert!(
            programmed > found.clean - 0.2,
            "{programmed} {}",
            found.clean
        );
    }
    assert!(found.written != found.aged);
}

/// A hundred thousand draws have the moments of Laplace's law: of its fourth, 6 s⁴, where the normal one has 3 s⁴.
#[test]
fn deviations_follow_the_law() {
    let law = own::Laplace {
        sigma_rel_wmax: 0.2,
    };
    let variation = Variation::from(Distribution::own(law));
    let weights = vec![1.0; 100_000];
    let drawn = variation.draw(ChipSeed::new(3, 0), "w", &weights, &[weights.len()]);
    let n = drawn.len() as f64;
    let moment = |k: i32| {
        drawn
            .iter()
            .map(|d| f64::from(*d / 0.2).powi(k))
            .sum::<f64>()
            / n
    };
    let moments = [moment(1), moment(2), moment(4)];
    // Standard errors: of moments 1, √(E x⁴ - 1) = √5 and √(E x⁸ - 36) = √2484, over √n; four of them are allowed.
    for (found, (expected, error)) in
        moments
            .into_iter()
            .zip([(0.0, 1.0), (1.0, 5f64.sqrt()), (6.0, 2484f64.sqrt())])
    {
        assert!(
            (found - expected).abs() < 4.0 * error / n.sqrt(),
            "{found} {expected}"
        );
    }
}

/// A day after they were written, cells have lost 3 % and then 5 %.
#[test]
fn cells_follow_the_law() {
    let device = own::leaky().unwrap();
    let targets = vec![40.0; 20_000];
    let draws = ChipSeed::new(5, 0);
    for (after, expected) in [("0 s", 0.97), ("1 h", 0.97 * 0.975), ("1 d", 0.97 * 0.95)] {
        let after = after.parse().unwrap();
        let cells = device.cells(&targets, after, draws, "w").unwrap();
        let mean = cells.iter().map(|g| f64::from(*g)).sum::<f64>() / cells.len() as f64;
        let moments = device.aged_moments(40.0, after).unwrap();
        // A spread of about 3 % of 20,000 cells: four standard errors are 0.1 %.
        assert!((mean / 40.0 - expected).abs() < 1e-3, "{mean}");
        assert!((moments.mean / 40.0 - expected).abs() < 1e-5, "{moments:?}");
    }
}
