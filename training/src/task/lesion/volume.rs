//! What is done to the maps of the slices of one volume together: a median filter, and what of it is one lesion.

/// Scores of voxels, slice by slice, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Volume {
    /// Depth (slices), height, width.
    pub(crate) size: [usize; 3],
    /// Scores of all voxels.
    pub(crate) scores: Vec<f32>,
}

impl Volume {
    fn place(&self, [slice, row, column]: [usize; 3]) -> usize {
        (slice * self.size[1] + row) * self.size[2] + column
    }

    fn at(&self, place: usize) -> [usize; 3] {
        let [_, height, width] = self.size;
        [
            place / (height * width),
            place / width % height,
            place % width,
        ]
    }

    /// At every voxel where `wanted` is not 0, the median of the scores within `radius` voxels along each axis; 0 elsewhere. At an edge the
    /// volume goes on as its mirror image, the voxels at the edge twice.
    ///
    /// Scores are at least 0.
    pub(crate) fn median(&self, radius: usize, wanted: &[u8]) -> Self {
        if radius == 0 {
            let scores = self.scores.iter().zip(wanted);
            return Self {
                size: self.size,
                scores: scores
                    .map(|(score, wanted)| if *wanted == 0 { 0.0 } else { *score })
                    .collect(),
            };
        }
        let near: [Vec<Vec<usize>>; 3] = self.size.map(|length| {
            let places = (0..length).map(|place| mirrored(place, radius, length));
            places.collect()
        });
        // Floats from 0 on are ordered as their bits are.
        let bits: Vec<u32> = self.scores.iter().map(|score| score.to_bits()).collect();
        let mut window = Vec::with_capacity((2 * radius + 1).pow(3));
        let mut scores = vec![0.0; self.scores.len()];
        for (place, score) in scores.iter_mut().enumerate() {
            if wanted[place] == 0 {
                continue;
            }
            let [slice, row, column] = self.at(place);
            window.clear();
            for slice in &near[0][slice] {
                for row in &near[1][row] {
                    let start = self.place([*slice, *row, 0]);
                    window.extend(near[2][column].iter().map(|column| bits[start + column]));
                }
            }
            let middle = window.len() / 2;
            *score = f32::from_bits(*window.select_nth_unstable(middle).1);
        }
        Self {
            size: self.size,
            scores,
        }
    }

    /// Which voxels have a score above `threshold`, without groups of fewer than `least` voxels. Voxels belong together where they touch,
    /// if only at a corner: each has 26 neighbours.
    pub(crate) fn found(&self, threshold: f64, least: usize) -> Vec<bool> {
        let above = |score: &f32| f64::from(*score) > threshold;
        let mut found: Vec<bool> = self.scores.iter().map(above).collect();
        let mut seen = vec![false; found.len()];
        let mut group = Vec::new();
        for first in 0..found.len() {
            if !found[first] || seen[first] {
                continue;
            }
            group.clear();
            group.push(first);
            seen[first] = true;
            let mut next = 0;
            while next < group.len() {
                let centre = self.at(group[next]);
                next += 1;
                self.each_neighbour(centre, |place| {
                    if found[place] && !seen[place] {
                        seen[place] = true;
                        group.push(place);
                    }
                });
            }
            if group.len() < least {
                group.iter().for_each(|place| found[*place] = false);
            }
        }
        found
    }

    fn each_neighbour(&self, centre: [usize; 3], mut each: impl FnMut(usize)) {
        let around = |axis: usize| {
            let from = centre[axis].saturating_sub(1);
            from..(centre[axis] + 2).min(self.size[axis])
        };
        for slice in around(0) {
            for row in around(1) {
                for column in around(2) {
                    each(self.place([slice, row, column]));
                }
            }
        }
    }
}

/// The places within `radius` of `place` on an axis of `length` places that goes on as its mirror image.
fn mirrored(place: usize, radius: usize, length: usize) -> Vec<usize> {
    let (radius, length) = (radius as isize, length as isize);
    let reflect = |offset: isize| {
        // The images repeat after twice the length.
        let within = (place as isize + offset).rem_euclid(2 * length);
        within.min(2 * length - 1 - within) as usize
    };
    (-radius..=radius).map(reflect).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(size: [usize; 3], score: impl Fn(usize) -> f32) -> Volume {
        Volume {
            size,
            scores: (0..size.iter().product()).map(score).collect(),
        }
    }

    #[test]
    fn an_axis_goes_on_as_its_mirror_image() {
        assert_eq!(mirrored(0, 2, 4), [1, 0, 0, 1, 2]);
        assert_eq!(mirrored(3, 2, 4), [1, 2, 3, 3, 2]);
        assert_eq!(mirrored(1, 2, 4), [0, 0, 1, 2, 3]);
        assert_eq!(mirrored(0, 2, 1), [0, 0, 0, 0, 0]);
        assert_eq!(mirrored(1, 2, 2), [0, 0, 1, 1, 0]);
    }

    /// Medians of a line of voxels by hand: `1 9 2 3 8` with a window of three goes on as `1 1 9 2 3 8 8`.
    #[test]
    fn medians_are_those_worked_by_hand() {
        let line = [1.0, 9.0, 2.0, 3.0, 8.0];
        let expected = [1.0, 2.0, 3.0, 3.0, 8.0];
        for size in [[5, 1, 1], [1, 5, 1], [1, 1, 5]] {
            let line = volume(size, |place| line[place]);
            assert_eq!(line.median(1, &[1; 5]).scores, expected, "{size:?}");
            let part = line.median(1, &[0, 1, 0, 0, 1]).scores;
            assert_eq!(part, [0.0, 2.0, 0.0, 0.0, 8.0]);
            assert_eq!(
                line.median(0, &[1, 1, 1, 1, 0]).scores,
                [1.0, 9.0, 2.0, 3.0, 0.0]
            );
        }
    }

    /// A block of n³ voxels in empty space survives a window of 5³ where it fills more than half of it: a block of 4³ (64 of 125) in its
    /// middle, one of 3³ nowhere.
    #[test]
    fn small_blocks_vanish() {
        let block = |from: usize, to: usize| {
            volume([9, 9, 9], move |place| {
                let inside = [place / 81, place / 9 % 9, place % 9];
                f32::from(u8::from(inside.iter().all(|x| (from..to).contains(x))))
            })
        };
        let ones = |volume: Volume| volume.scores.iter().sum::<f32>();
        let all = vec![1; 729];
        assert_eq!(ones(block(3, 6).median(2, &all)), 0.0);
        // The eight voxels at whose windows all of the block lies.
        assert_eq!(ones(block(3, 7).median(2, &all)), 8.0);
    }

    #[test]
    fn groups_touch_at_corners() {
        // A diagonal of four voxels, one of two, and one voxel.
        let places = [
            [0, 0, 0],
            [1, 1, 1],
            [2, 2, 2],
            [3, 3, 3],
            [0, 3, 0],
            [1, 3, 0],
            [3, 0, 3],
        ];
        let mut some = volume([4, 4, 4], |_| 0.0);
        for place in places {
            let place = some.place(place);
            some.scores[place] = 0.5;
        }
        let left = |least: usize| {
            some.found(0.4, least)
                .iter()
                .filter(|voxel| **voxel)
                .count()
        };
        assert_eq!([0, 1, 2, 3, 4, 5].map(left), [7, 7, 6, 4, 4, 0]);
        assert!(some.found(0.5, 0).iter().all(|voxel| !voxel));
    }
}
