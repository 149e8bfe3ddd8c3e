//! Groups of vectors that lie close together.

use crossburn_noise::{Philox, path_hash};

/// Starts of which the tightest result is kept.
const STARTS: u64 = 8;
/// Passes of one start at most; a few dozen points rest after about five.
const PASSES: usize = 100;

/// Points in groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// The mean of each group.
    pub centroids: Vec<Vec<f64>>,
    /// The group of every point.
    pub of_point: Vec<usize>,
}

impl Clusters {
    /// The points of each group, in ascending order.
    pub fn members(&self) -> Vec<Vec<usize>> {
        let mut members = vec![Vec::new(); self.centroids.len()];
        for (point, group) in self.of_point.iter().enumerate() {
            members[*group].push(point);
        }
        members
    }
}

/// At most `k` groups of `points` with a small sum of squared distances from the mean of the group; fewer where there are fewer
/// different points. No group is empty, and there is one at least where there is a point.
///
/// Eight starts are made from `seed` and the tightest result is kept, the first of equal ones. Of equally near means a point takes the first.
///
/// # Source
/// Lloyd 1982, "Least squares quantization in PCM"; the starts are those of Arthur and Vassilvitskii 2007, "k-means++", section 2.2.
pub fn k_means(points: &[Vec<f64>], k: usize, seed: u64) -> Clusters {
    let mut best: Option<(f64, Clusters)> = None;
    let k = k.max(1);
    for start in 0..STARTS {
        let draws = Philox::new(seed ^ path_hash("starts of k-means"), start);
        let found = settled(points, first_centroids(points, k, &draws));
        let spread = spread(points, &found);
        if best.as_ref().is_none_or(|(least, _)| spread < *least) {
            best = Some((spread, found));
        }
    }
    best.map_or_else(
        || Clusters {
            centroids: Vec::new(),
            of_point: Vec::new(),
        },
        |(_, clusters)| clusters,
    )
}

/// Mean silhouette of `points` in the groups `of_point`.
///
/// ```text
/// s = (b - a) / max(a, b)      a: mean distance to the other points of its group, b: to those of the nearest other group
/// ```
///
/// A point that is alone in its group counts 0. With fewer than two groups it is 0.
///
/// # Source
/// Rousseeuw 1987, "Silhouettes", equation 1.
pub fn silhouette(points: &[Vec<f64>], of_point: &[usize]) -> f64 {
    let groups = of_point.iter().max().map_or(0, |most| most + 1);
    let of_one = |point: usize| {
        let mut sums = vec![(0.0, 0usize); groups];
        for (other, group) in of_point.iter().enumerate() {
            if other != point {
                let (sum, count) = &mut sums[*group];
                *sum += squared(&points[point], &points[other]).sqrt();
                *count += 1;
            }
        }
        let mean = |(sum, count): (f64, usize)| sum / count as f64;
        let own = of_point[point];
        let others = sums.iter().enumerate();
        let others = others.filter(|(group, (_, count))| *group != own && *count > 0);
        let nearest = others
            .map(|(_, sum)| mean(*sum))
            .fold(f64::INFINITY, f64::min);
        let within = mean(sums[own]);
        let most = within.max(nearest);
        match sums[own].1 > 0 && nearest.is_finite() && most > 0.0 {
            true => (nearest - within) / most,
            false => 0.0,
        }
    };
    let sum: f64 = (0..points.len()).map(of_one).sum();
    sum / points.len().max(1) as f64
}

/// `points` in as many groups, from 2 to `most`, as have the highest silhouette; the fewest of equal ones. One group where `most` is below 2.
pub fn clusters(points: &[Vec<f64>], most: usize, seed: u64) -> Clusters {
    let mut best: Option<(f64, Clusters)> = None;
    for k in 2..=most {
        let found = k_means(points, k, seed);
        let fit = silhouette(points, &found.of_point);
        if best.as_ref().is_none_or(|(most, _)| fit > *most) {
            best = Some((fit, found));
        }
    }
    best.map_or_else(|| k_means(points, 1, seed), |(_, clusters)| clusters)
}

pub(super) fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Squared distances to the centroids summed over all points.
fn spread(points: &[Vec<f64>], clusters: &Clusters) -> f64 {
    let of = points.iter().zip(&clusters.of_point);
    of.map(|(point, group)| squared(point, &clusters.centroids[*group]))
        .sum()
}

/// Points by chance: each with a probability that grows with the squared distance to those before it.
fn first_centroids(points: &[Vec<f64>], k: usize, draws: &Philox) -> Vec<Vec<f64>> {
    let mut chosen: Vec<Vec<f64>> = Vec::new();
    let mut distances = vec![1.0; points.len()];
    for draw in 0..k as u64 {
        let total: f64 = distances.iter().sum();
        if total <= 0.0 {
            break;
        }
        let mut left = draws.uniform(draw) * total;
        // Where rounding leaves something over, the last point that is not chosen yet.
        let mut next = distances.iter().rposition(|distance| *distance > 0.0);
        for (point, distance) in distances.iter().enumerate() {
            if left < *distance {
                next = Some(point);
                break;
            }
            left -= distance;
        }
        let Some(next) = next else { break };
        chosen.push(points[next].clone());
        for (distance, point) in distances.iter_mut().zip(points) {
            let own = squared(point, &points[next]);
            *distance = if draw == 0 { own } else { distance.min(own) };
        }
    }
    chosen
}

/// The groups in which points rest; a group that loses all of its points is gone.
fn settled(points: &[Vec<f64>], mut centroids: Vec<Vec<f64>>) -> Clusters {
    let mut of_point = vec![0; points.len()];
    for _ in 0..PASSES {
        let nearest: Vec<usize> = points
            .iter()
            .map(|point| nearest(point, &centroids))
            .collect();
        let (mut kept, mut place) = (Vec::new(), vec![0; centroids.len()]);
        for (group, place) in place.iter_mut().enumerate() {
            let own = nearest.iter().zip(points);
            let own = own.filter(|(of, _)| **of == group).map(|(_, point)| point);
            if let Some(mean) = mean(own) {
                *place = kept.len();
                kept.push(mean);
            }
        }
        let next: Vec<usize> = nearest.into_iter().map(|group| place[group]).collect();
        let rests = next == of_point && kept == centroids;
        (of_point, centroids) = (next, kept);
        if rests {
            break;
        }
    }
    Clusters {
        centroids,
        of_point,
    }
}

/// The nearest centroid, the first of equally near ones.
fn nearest(point: &[f64], centroids: &[Vec<f64>]) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (group, centroid) in centroids.iter().enumerate() {
        let distance = squared(point, centroid);
        if distance < best.0 {
            best = (distance, group);
        }
    }
    best.1
}

/// `None` of no points.
fn mean<'a>(mut points: impl Iterator<Item = &'a Vec<f64>>) -> Option<Vec<f64>> {
    let mut sum = points.next()?.clone();
    let mut count = 1.0;
    for point in points {
        for (sum, value) in sum.iter_mut().zip(point) {
            *sum += value;
        }
        count += 1.0;
    }
    sum.iter_mut().for_each(|sum| *sum /= count);
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|value| vec![*value]).collect()
    }

    #[test]
    fn groups_are_those_of_the_hand() {
        // Two pairs and a point apart.
        let points = line(&[0.0, 1.0, 10.0, 11.0, 30.0]);
        for seed in 0..5 {
            let two = k_means(&points, 2, seed);
            // {0, 1, 10, 11} and {30}: squares 4 (0.25 + ...): means 5.5 and 30, spread 30.25 + 20.25 + 20.25 + 30.25 = 101;
            // {0, 1} and {10, 11, 30}: 0.5 + 49 + 36 + 169 = 254.5 and more.
            assert_eq!(two.of_point[0], two.of_point[3]);
            assert_ne!(two.of_point[0], two.of_point[4]);
            let mut means: Vec<f64> = two.centroids.concat();
            means.sort_by(f64::total_cmp);
            assert_eq!(means, [5.5, 30.0]);
            assert!((spread(&points, &two) - 101.0).abs() < 1e-12);
            let three = k_means(&points, 3, seed);
            let mut means: Vec<f64> = three.centroids.concat();
            means.sort_by(f64::total_cmp);
            assert_eq!(means, [0.5, 10.5, 30.0]);
            assert_eq!(k_means(&points, 3, seed), three);
        }
        // Three points of two values are two groups.
        let few = k_means(&line(&[2.0, 2.0, 4.0]), 3, 1);
        assert_eq!(few.centroids.len(), 2);
        assert!(few.members().iter().all(|members| !members.is_empty()));
        assert!(k_means(&[], 3, 1).of_point.is_empty());
    }

    #[test]
    fn a_silhouette_is_that_of_the_hand() {
        let points = line(&[0.0, 1.0, 4.0, 6.0]);
        // 0: a = 1, b = 5: 4/5.  1: a = 1, b = 4: 3/4.  4: a = 2, b = 3.5: 1.5/3.5.  6: a = 2, b = 5.5: 3.5/5.5.
        let expected = (0.8 + 0.75 + 1.5 / 3.5 + 3.5 / 5.5) / 4.0;
        assert!((silhouette(&points, &[0, 0, 1, 1]) - expected).abs() < 1e-15);
        // A point alone counts 0: (0.9 for 0: a = 1, b = 10; 1: a = 1, b = 9) / 3.
        let lone = silhouette(&line(&[0.0, 1.0, 10.0]), &[1, 1, 0]);
        assert!((lone - (0.9 + 8.0 / 9.0) / 3.0).abs() < 1e-15);
        assert_eq!(silhouette(&points, &[0, 0, 0, 0]), 0.0);
    }

    #[test]
    fn as_many_groups_as_fit_best() {
        let points = line(&[0.0, 0.1, 0.2, 5.0, 5.1, 5.2, 9.0, 9.1, 9.2]);
        let found = clusters(&points, 6, 7);
        assert_eq!(found.centroids.len(), 3);
        let mut members = found.members();
        members.sort();
        assert_eq!(members, [[0, 1, 2], [3, 4, 5], [6, 7, 8]]);
        // Too few points to be told apart.
        assert_eq!(clusters(&points[..2], 0, 7).centroids.len(), 1);
    }
}
