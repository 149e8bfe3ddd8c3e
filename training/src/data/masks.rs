//! Which pixels of an image belong to the brain, and which to a lesion.

use crossburn_checkpoints::Checksum;

/// Masks of a set of images: one byte per pixel, 0 or 1; image by image in the order of the samples, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// 1 inside the brain.
    pub brain: Vec<u8>,
    /// 1 inside a lesion.
    pub lesion: Vec<u8>,
    /// Whether intensities inside the brain are reversed, if known.
    pub reversed: Option<bool>,
}

impl Masks {
    /// The masks of the images at `indices`, of `plane` pixels each.
    pub(super) fn gather(&self, indices: &[usize], plane: usize) -> Self {
        let of = |mask: &[u8]| {
            let images = indices.iter().map(|index| &mask[index * plane..][..plane]);
            images.collect::<Vec<_>>().concat()
        };
        Self {
            brain: of(&self.brain),
            lesion: of(&self.lesion),
            reversed: self.reversed,
        }
    }

    /// The masks of the first `count` images of `plane` pixels, and of the rest.
    pub(super) fn split_at(&self, count: usize, plane: usize) -> (Self, Self) {
        let (brain, other_brain) = self.brain.split_at(count * plane);
        let (lesion, other_lesion) = self.lesion.split_at(count * plane);
        let part = |brain: &[u8], lesion: &[u8]| Self {
            brain: brain.to_vec(),
            lesion: lesion.to_vec(),
            reversed: self.reversed,
        };
        (part(brain, lesion), part(other_brain, other_lesion))
    }

    /// Adds the masks of the images at `places`, of `plane` pixels each, to the checksum `sum`.
    pub(super) fn add_to(&self, sum: &mut Checksum, places: &[usize], plane: usize) {
        for place in places {
            for mask in [&self.brain, &self.lesion] {
                sum.add(&mask[place * plane..][..plane]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_follow_their_images() {
        // Three images of two pixels.
        let masks = Masks {
            brain: vec![1, 1, 1, 0, 0, 1],
            lesion: vec![0, 1, 0, 0, 0, 1],
            reversed: Some(true),
        };
        let gathered = masks.gather(&[2, 0], 2);
        assert_eq!(gathered.brain, [0, 1, 1, 1]);
        assert_eq!(gathered.lesion, [0, 1, 0, 1]);
        assert_eq!(gathered.reversed, Some(true));
        let (first, rest) = masks.split_at(1, 2);
        assert_eq!(
            (first, rest),
            (masks.gather(&[0], 2), masks.gather(&[1, 2], 2))
        );
    }
}
