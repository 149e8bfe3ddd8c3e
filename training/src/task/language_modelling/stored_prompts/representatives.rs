//! Which texts of a buffer stand for the others.

use crate::TrainingError;

use super::clusters::clusters;

/// Groups of one buffer at most.
const MOST: usize = 6;
/// Texts for each group at least, on average.
const OF_A_GROUP: usize = 3;

/// A text that stands for a group of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Representative {
    /// The text, by its place in the buffer.
    pub text: usize,
    /// All texts of the group, itself included, in ascending order.
    pub members: Vec<usize>,
}

/// The texts whose embeddings, `points`, stand for the others: one of each group, the one with the highest cosine to the mean of
/// the group, the first of equal ones.
///
/// There are as many groups, from 2 to the smaller of 6 and a third of the texts, as have the highest silhouette.
///
/// # Errors
/// [`TrainingError::Data`] for an embedding that is not finite.
///
/// # Source
/// NVCiM-PT (arXiv 2411.08244): k-means over embeddings, representatives by cosine similarity. The number of groups is not in the paper.
pub fn representatives(
    points: &[Vec<f64>],
    seed: u64,
) -> Result<Vec<Representative>, TrainingError> {
    let bad = |point: &Vec<f64>| point.iter().any(|value| !value.is_finite());
    if let Some(text) = points.iter().position(bad) {
        return Err(TrainingError::data(
            format!("text {text} of the buffer"),
            "its embedding is not finite",
            "look at what the encoder gives for it",
        ));
    }
    if points.is_empty() {
        return Ok(Vec::new());
    }
    let found = clusters(points, MOST.min(points.len() / OF_A_GROUP), seed);
    let groups = found.members().into_iter().zip(&found.centroids);
    let of_group = |(members, centroid): (Vec<usize>, &Vec<f64>)| Representative {
        text: nearest(points, members.iter().copied(), centroid),
        members,
    };
    Ok(groups.map(of_group).collect())
}

/// The text that stands for a group that is known: the one whose embedding has the highest cosine to the mean of all `points`, the first of
/// equal ones; `None` of no text.
pub fn representative(points: &[Vec<f64>]) -> Option<usize> {
    let mut sum = vec![0.0; points.first()?.len()];
    for point in points {
        for (sum, value) in sum.iter_mut().zip(point) {
            *sum += value;
        }
    }
    Some(nearest(points, 0..points.len(), &sum))
}

/// The one of `members` with the highest cosine to `direction`, the first of equal ones.
fn nearest(points: &[Vec<f64>], members: impl Iterator<Item = usize>, direction: &[f64]) -> usize {
    let mut best = (f64::NEG_INFINITY, 0);
    for member in members {
        let cosine = cosine(&points[member], direction);
        if cosine > best.0 {
            best = (cosine, member);
        }
    }
    best.1
}

/// 0 where one of the two is zero.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let lengths = (product(a, a) * product(b, b)).sqrt();
    match lengths > 0.0 {
        true => product(a, b) / lengths,
        false => 0.0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_text_in_the_direction_of_the_mean_stands_for_its_group() {
        let points = [
            [10.0, 0.2],
            [10.0, -0.3],
            // The mean of the first three is (10, 0.3): cosines 0.9999, 0.9982, 0.9982.
            [10.0, 1.0],
            [0.0, 5.0],
            [0.3, 5.0],
            [-0.9, 5.0],
        ];
        let points = points.map(|point| point.to_vec());
        let mut found = representatives(&points, 4).unwrap();
        found.sort_by_key(|of| of.text);
        let expected = [(0, vec![0, 1, 2]), (3, vec![3, 4, 5])];
        let expected = expected.map(|(text, members)| Representative { text, members });
        // The mean of the others is (-0.2, 5).
        assert_eq!(found, expected);
        assert_eq!(
            representatives(&points, 4).unwrap(),
            representatives(&points, 4).unwrap()
        );
    }

    #[test]
    fn five_texts_are_one_group_and_what_is_no_number_is_refused() {
        let mut points = vec![vec![1.0, 0.0]; 5];
        let found = representatives(&points, 1).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].text, found[0].members.len()), (0, 5));
        assert!(representatives(&[], 1).unwrap().is_empty());
        points[3][1] = f64::NAN;
        let message = representatives(&points, 1).unwrap_err().to_string();
        assert!(
            message.starts_with("text 3 of the buffer: its embedding is not finite; "),
            "{message}"
        );
    }
}
