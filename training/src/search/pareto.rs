//! The designs that no other design is better than in everything, and how much they dominate.

use std::cmp::Ordering;

use crossburn_noise::Better;

/// Whether `a` is at least as good as `b` in everything and better in something.
fn dominates(a: &[f64], b: &[f64], better: &[Better]) -> bool {
    let mut ahead = false;
    for ((a, b), better) in a.iter().zip(b).zip(better) {
        if better.is_worse(*a, *b) {
            return false;
        }
        ahead |= better.is_worse(*b, *a);
    }
    ahead
}

/// The places of the points that no other point dominates, in their order. Of equal points the first alone is there.
///
/// Values are finite; `better` says of every value which end is the better one.
pub fn pareto_set(points: &[&[f64]], better: &[Better]) -> Vec<usize> {
    // Sorted from the best by the first value, a point is only dominated by one before it.
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| {
        let values = points[*a].iter().zip(points[*b]).zip(better);
        let compared =
            values.map(|((a, b), better)| better.orient(*b).total_cmp(&better.orient(*a)));
        compared
            .fold(Ordering::Equal, Ordering::then)
            .then(a.cmp(b))
    });
    let mut set: Vec<usize> = Vec::new();
    for place in order {
        let beaten = |other: &usize| {
            dominates(points[*other], points[place], better) || points[*other] == points[place]
        };
        if !set.iter().any(beaten) {
            set.push(place);
        }
    }
    set.sort_unstable();
    set
}

/// The volume of what `points` dominate down to `reference`, a point that is worse than all that counts; what is beyond it counts
/// nothing. In the product of the units of the values.
///
/// Computed by slices along the last value (Zitzler 1999), of the points that no other dominates: exact, and fast for the few values of a design.
pub fn hypervolume(points: &[&[f64]], reference: &[f64], better: &[Better]) -> f64 {
    let gains = |point: &&[f64]| -> Option<Vec<f64>> {
        let values = point.iter().zip(reference).zip(better);
        let gains = values
            .map(|((value, reference), better)| better.orient(*value) - better.orient(*reference));
        let gains: Vec<f64> = gains.collect();
        gains.iter().all(|gain| *gain > 0.0).then_some(gains)
    };
    // What is dominated adds nothing, and there may be many such points.
    let front = pareto_set(points, better).into_iter();
    volume(front.filter_map(|place| gains(&points[place])).collect())
}

/// The volume of the boxes from zero to each of `corners`.
fn volume(mut corners: Vec<Vec<f64>>) -> f64 {
    let Some(first) = corners.first() else {
        return 0.0;
    };
    let last = first.len().saturating_sub(1);
    if last == 0 {
        let values = corners.iter().filter_map(|corner| corner.first());
        return values.copied().fold(0.0, f64::max);
    }
    corners.sort_by(|a, b| b[last].total_cmp(&a[last]));
    let heights: Vec<f64> = corners.iter().map(|corner| corner[last]).collect();
    corners.iter_mut().for_each(|corner| corner.truncate(last));
    let mut sum = 0.0;
    for number in 0..corners.len() {
        let below = heights.get(number + 1).copied().unwrap_or(0.0);
        let thickness = heights[number] - below;
        if thickness > 0.0 {
            sum += thickness * volume(corners[..=number].to_vec());
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Draws;

    const UP: Better = Better::Higher;
    const DOWN: Better = Better::Lower;

    #[test]
    fn a_known_front_is_found() {
        let points: [&[f64]; 7] = [
            &[0.9, 5.0],
            &[0.8, 5.0],
            &[0.7, 2.0],
            &[0.7, 2.0],
            &[0.6, 3.0],
            &[0.5, 1.0],
            &[0.9, 6.0],
        ];
        assert_eq!(pareto_set(&points, &[UP, DOWN]), [0, 2, 5]);
        assert_eq!(pareto_set(&points, &[UP, UP]), [6]);
        assert!(pareto_set(&[], &[UP]).is_empty());
    }

    #[test]
    fn known_volumes() {
        // Three boxes of a staircase: 1 · 3 + 1 · 2 + 1 · 1.
        let stairs: [&[f64]; 4] = [&[1.0, 3.0], &[2.0, 2.0], &[3.0, 1.0], &[1.0, 1.0]];
        assert_eq!(hypervolume(&stairs, &[0.0, 0.0], &[UP, UP]), 6.0);
        // The same where less of the second is better, from the reference 4.
        let turned: [&[f64]; 3] = [&[1.0, 1.0], &[2.0, 2.0], &[3.0, 3.0]];
        assert_eq!(hypervolume(&turned, &[0.0, 4.0], &[UP, DOWN]), 6.0);
        // Two boxes of 4 that share a unit cube.
        let boxes: [&[f64]; 2] = [&[2.0, 2.0, 1.0], &[1.0, 1.0, 4.0]];
        assert_eq!(hypervolume(&boxes, &[0.0; 3], &[UP; 3]), 4.0 + 4.0 - 1.0);
        // What is beyond the reference counts nothing.
        assert_eq!(hypervolume(&[&[1.0, -1.0]], &[0.0, 0.0], &[UP, UP]), 0.0);
        assert_eq!(hypervolume(&[], &[0.0], &[UP]), 0.0);
    }

    #[test]
    fn volumes_agree_with_counted_cells() {
        // Whole corners of a small grid: the volume is the number of unit cells below any corner.
        let mut draws = Draws::new(1, "volume");
        for _ in 0..50 {
            let corners: Vec<[f64; 3]> = (0..6)
                .map(|_| std::array::from_fn(|_| draws.below(5) as f64))
                .collect();
            let cells = (0..64).filter(|cell| {
                let at = [cell % 4, cell / 4 % 4, cell / 16].map(f64::from);
                let covers = |corner: &[f64; 3]| corner.iter().zip(at).all(|(c, at)| at < *c);
                corners.iter().any(covers)
            });
            let points: Vec<&[f64]> = corners.iter().map(|corner| &corner[..]).collect();
            let volume = hypervolume(&points, &[0.0; 3], &[UP; 3]);
            assert_eq!(volume, cells.count() as f64, "{corners:?}");
            // The front alone has the same volume, and so has any order of the points.
            let turned: Vec<&[f64]> = points.iter().rev().copied().collect();
            assert_eq!(hypervolume(&turned, &[0.0; 3], &[UP; 3]), volume);
            let front = pareto_set(&points, &[UP; 3]);
            let front: Vec<&[f64]> = front.into_iter().map(|place| points[place]).collect();
            assert_eq!(hypervolume(&front, &[0.0; 3], &[UP; 3]), volume);
        }
    }
}
