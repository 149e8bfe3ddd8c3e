//! How sure numbers of pairs are: the same numbers of people drawn again.

use std::collections::BTreeMap;

use crossburn_noise::{Bootstrap, MeanInterval};

use super::scores::Compared;

/// The interval of `number` over people that `bootstrap` draws. A pair of a person counts as often as the person was drawn, a pair of two people
/// as often as both were: the product. Draws in which the number is not defined are left out. `None` where it never is, and of fewer than
/// two people.
///
/// The thousand pairs of a few people are no thousand independent ones: to draw pairs would make intervals too narrow.
///
/// # Source
/// Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets bootstrap", CVIU 2004; people are drawn here rather
/// than pairs.
pub fn interval_over_people(
    compared: &[Compared],
    bootstrap: &Bootstrap,
    number: &dyn Fn(&[f64]) -> Option<f64>,
) -> Option<[f64; 2]> {
    let one = |weights: &[f64]| number(weights).map(|value| vec![value]);
    let found = intervals_over_people(compared, bootstrap, &one)?;
    found.first().copied()
}

/// The same of several numbers, of which there are equally many in every draw: each by itself.
pub fn intervals_over_people(
    compared: &[Compared],
    bootstrap: &Bootstrap,
    numbers: &dyn Fn(&[f64]) -> Option<Vec<f64>>,
) -> Option<Vec<[f64; 2]>> {
    let mut known: BTreeMap<u32, usize> = BTreeMap::new();
    for person in compared.iter().flat_map(|pair| pair.people) {
        let next = known.len();
        known.entry(person).or_insert(next);
    }
    let places: Vec<[usize; 2]> = compared
        .iter()
        .map(|pair| pair.people.map(|person| known[&person]))
        .collect();
    let found = bootstrap.intervals(known.len(), &|sample| {
        let mut times = vec![0.0f64; known.len()];
        for person in sample {
            times[*person] += 1.0;
        }
        let weight = |[first, second]: &[usize; 2]| match first == second {
            true => times[*first],
            false => times[*first] * times[*second],
        };
        let weights: Vec<f64> = places.iter().map(weight).collect();
        numbers(&weights)
    });
    let ends = |found: Vec<MeanInterval>| found.iter().map(|one| [one.low, one.high]).collect();
    found.ok()?.map(ends)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn bootstrap(samples: u64, confidence: f64) -> Bootstrap {
        Bootstrap {
            samples,
            confidence,
            seed: 1,
        }
    }

    #[test]
    fn one_persons_pairs_rise_and_fall_together() {
        // Forty people with fifty pairs each; half of the people are always right. Were the 2000 pairs independent, the interval of 95 % would be
        // 0.5 ± 0.022; of 40 people it is 0.5 ± 1.96 sqrt(0.25 / 40) = ± 0.155.
        let pair = |place: u32| Compared {
            group: 0,
            people: [place / 50; 2],
            score: f64::from(place / 50 % 2),
        };
        let compared: Vec<Compared> = (0..2000).map(pair).collect();
        let mean = |weights: &[f64]| {
            let sum: f64 = weights.iter().sum();
            let right = compared
                .iter()
                .zip(weights)
                .map(|(pair, weight)| pair.score * weight);
            (sum > 0.0).then(|| right.sum::<f64>() / sum)
        };
        let [low, high] = interval_over_people(&compared, &bootstrap(500, 0.95), &mean).unwrap();
        assert!(
            (0.30..0.40).contains(&low) && (0.60..0.70).contains(&high),
            "{low} {high}"
        );
        let again = interval_over_people(&compared, &bootstrap(500, 0.95), &mean);
        assert_eq!(again, Some([low, high]));
        assert_eq!(
            interval_over_people(&compared, &bootstrap(0, 0.95), &mean),
            None
        );
        assert_eq!(
            interval_over_people(&compared, &bootstrap(9, 0.95), &|_| None),
            None
        );
    }

    #[test]
    fn a_pair_of_two_people_counts_as_often_as_both() {
        let compared = [[0, 0], [0, 1], [1, 1]].map(|people| Compared {
            group: 0,
            people,
            score: 0.0,
        });
        let check = |weights: &[f64]| {
            assert_eq!(weights[1], weights[0] * weights[2]);
            assert_eq!(weights[0] + weights[2], 2.0);
            Some(weights[1])
        };
        let found = interval_over_people(&compared, &bootstrap(200, 0.99), &check);
        assert_eq!(found, Some([0.0, 1.0]));
    }
}
