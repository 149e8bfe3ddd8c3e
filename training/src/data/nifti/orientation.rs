//! Which axis of a grid runs to the right, to the front and up.

/// From the indices of a voxel to its place, in rows: to the right, to the front, up.
pub(super) type Affine = [[f64; 4]; 3];

/// The order and directions of a grid's axes: a grid in standard order runs to the right, to the front (anterior) and up (superior).
///
/// Oblique grids are taken as the nearest straight ones: no value is interpolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation {
    /// The axis of the file that runs along each standard axis.
    axes: [usize; 3],
    /// Whether it runs the other way.
    flipped: [bool; 3],
}

/// The ways to assign three axes.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

impl Orientation {
    /// That of an affine: the assignment of axes with the largest product of cosines; `None` of one that folds axes onto each other.
    pub(super) fn of(affine: &Affine) -> Option<Self> {
        let length = |axis: usize| {
            affine
                .iter()
                .map(|row| row[axis] * row[axis])
                .sum::<f64>()
                .sqrt()
        };
        let lengths = [0, 1, 2].map(length);
        let cosine = |standard: usize, axis: usize| affine[standard][axis] / lengths[axis];
        if lengths.iter().any(|length| *length < 1e-6) || determinant(cosine).abs() < 1e-3 {
            return None;
        }
        let fit = |axes: &[usize; 3]| -> f64 {
            let cosines = axes.iter().enumerate();
            cosines
                .map(|(standard, axis)| cosine(standard, *axis).abs())
                .product()
        };
        let axes = ORDERS.iter().max_by(|a, b| fit(a).total_cmp(&fit(b)))?;
        Some(Self {
            axes: *axes,
            flipped: [0, 1, 2].map(|standard| affine[standard][axes[standard]] < 0.0),
        })
    }

    /// Letters of the directions in which the axes of the file run, such as `LAS`.
    #[cfg(test)]
    pub(super) fn letters(&self) -> String {
        let mut letters = ['?'; 3];
        for (standard, pair) in [['R', 'L'], ['A', 'P'], ['S', 'I']].iter().enumerate() {
            letters[self.axes[standard]] = pair[usize::from(self.flipped[standard])];
        }
        letters.iter().collect()
    }

    /// What is given per axis of the file, such as its shape, per standard axis.
    pub fn per_standard_axis<T: Copy>(&self, of_file: [T; 3]) -> [T; 3] {
        self.axes.map(|axis| of_file[axis])
    }

    /// Voxels of a file of this `shape`, first axis fastest, in standard order: to the right fastest, then to the front, then up.
    ///
    /// # Panics
    /// Where there are not as many values as the shape has voxels.
    pub fn to_standard<T: Copy>(&self, values: &[T], shape: [usize; 3]) -> Vec<T> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "voxels of the shape"
        );
        self.places(shape).map(|place| values[place]).collect()
    }

    /// The other way round: values in standard order as they lie in a file of this `shape`.
    ///
    /// # Panics
    /// Where there are not as many values as the shape has voxels.
    pub fn to_file<T: Copy + Default>(&self, values: &[T], shape: [usize; 3]) -> Vec<T> {
        assert_eq!(
            values.len(),
            shape.iter().product::<usize>(),
            "voxels of the shape"
        );
        let mut of_file = vec![T::default(); values.len()];
        for (value, place) in values.iter().zip(self.places(shape)) {
            of_file[place] = *value;
        }
        of_file
    }

    /// The places in the file of all voxels in standard order.
    fn places(&self, shape: [usize; 3]) -> impl Iterator<Item = usize> {
        let steps = [1, shape[0], shape[0] * shape[1]];
        let [x, y, z] = [0, 1, 2].map(|standard| {
            let axis = self.axes[standard];
            (shape[axis], steps[axis], self.flipped[standard])
        });
        let along = |(length, step, flipped): (usize, usize, bool), index: usize| match flipped {
            true => (length - 1 - index) * step,
            false => index * step,
        };
        (0..z.0).flat_map(move |k| {
            (0..y.0)
                .flat_map(move |j| (0..x.0).map(move |i| along(x, i) + along(y, j) + along(z, k)))
        })
    }
}

fn determinant(at: impl Fn(usize, usize) -> f64) -> f64 {
    at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1))
        - at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0))
        + at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn axes_are_found_and_voxels_come_back() {
        // The file runs up, to the left and to the front: a voxel's indices (i, j, k) are (up, left, front).
        let affine = [
            [0.1, -2.0, 0.0, 0.0],
            [0.0, 0.2, 3.0, 0.0],
            [1.0, 0.0, -0.3, 0.0],
        ];
        let orientation = Orientation::of(&affine).unwrap();
        assert_eq!(orientation.letters(), "SLA");
        let shape = [2, 3, 4];
        assert_eq!(orientation.per_standard_axis(shape), [3, 4, 2]);
        // The value of a voxel says its indices: 100 i + 10 j + k.
        let mut values = Vec::new();
        for k in 0..4 {
            for j in 0..3 {
                values.extend((0..2).map(|i| 100 * i + 10 * j + k));
            }
        }
        let standard = orientation.to_standard(&values, shape);
        // To the right is against j, to the front along k, up along i.
        for (up, slice) in standard.chunks(12).enumerate() {
            for (front, row) in slice.chunks(3).enumerate() {
                let expected: Vec<i32> = (0..3)
                    .map(|right| 100 * up as i32 + 10 * (2 - right) + front as i32)
                    .collect();
                assert_eq!(row, expected);
            }
        }
        assert_eq!(orientation.to_file(&standard, shape), values);
        // Two axes that run the same way.
        assert_eq!(
            Orientation::of(&[
                [1.0, 1.0, 0.0, 0.0],
                [0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 1.0, 0.0]
            ]),
            None
        );
    }
}
