//! Something before a face that is learned from: sunglasses, a mask, a hand.

use burn::tensor::{Tensor, TensorData};

use crate::draws::Draws;

/// The height of the bar, as a share of that of the image: from, and by how much more at most.
const HEIGHT: [f64; 2] = [0.15, 0.25];
/// The width, likewise.
const WIDTH: [f64; 2] = [0.6, 0.4];
/// The shades of a bar, in what networks see: from black to white of values with the mean 0.5 and the standard deviation 0.5.
const SHADE: [f64; 2] = [-1.0, 2.0];

/// The images with a bar of one shade before the share of them that is asked for. What is drawn for an image depends on the key and its place.
///
/// # Source
/// Melzi et al., arXiv 2311.10476: the winning team of its sub-tasks 1.2 and 2.2 pasted masks and sunglasses by landmarks. Bars here lie anywhere.
///
/// # Shapes
/// `[items, channels, height, width]`, kept.
pub(super) fn covered(inputs: Tensor<4>, share: f64, (key, places): (u64, &[usize])) -> Tensor<4> {
    if share == 0.0 {
        return inputs;
    }
    let [items, _, height, width] = inputs.dims();
    let plane = height * width;
    let (mut keep, mut add) = (vec![1.0f32; items * plane], vec![0.0f32; items * plane]);
    for (item, place) in places.iter().enumerate() {
        let mut draws = Draws::of_item(key, "bar before a face", *place as u64);
        if !draws.happens(share) {
            continue;
        }
        let mut length = |all: usize, [least, more]: [f64; 2]| {
            let length = (all as f64 * (least + more * draws.uniform())).round() as usize;
            length.clamp(1, all)
        };
        let (rows, columns) = (length(height, HEIGHT), length(width, WIDTH));
        let top = draws.below(height - rows + 1);
        let left = draws.below(width - columns + 1);
        let shade = (SHADE[0] + SHADE[1] * draws.uniform()) as f32;
        for row in top..top + rows {
            let start = item * plane + row * width + left;
            keep[start..start + columns].fill(0.0);
            add[start..start + columns].fill(shade);
        }
    }
    let device = inputs.device();
    let tensor = |values| {
        Tensor::<4>::from_data(TensorData::new(values, [items, 1, height, width]), &device)
    };
    inputs * tensor(keep) + tensor(add)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_share_of_the_images_has_one_bar() {
        let device = Device::flex();
        let places: Vec<usize> = (0..200).collect();
        let bare = || Tensor::<4>::full([200, 1, 10, 8], 7.0, &device);
        let values = |tensor: Tensor<4>| -> Vec<f32> { tensor.into_data().try_to_vec().unwrap() };
        let found = values(covered(bare(), 0.25, (3, &places)));
        let mut barred = 0;
        for image in found.chunks(80) {
            let changed: Vec<usize> = (0..80).filter(|pixel| image[*pixel] != 7.0).collect();
            if changed.is_empty() {
                continue;
            }
            barred += 1;
            let rows = changed[changed.len() - 1] / 8 - changed[0] / 8 + 1;
            let columns = changed.len() / rows;
            assert_eq!(rows * columns, changed.len());
            assert!(
                (2..=4).contains(&rows) && (5..=8).contains(&columns),
                "{rows} {columns}"
            );
            let shade = image[changed[0]];
            assert!((-1.0..=1.0).contains(&shade));
            assert!(changed.iter().all(|pixel| image[*pixel] == shade));
        }
        // 50 ± 4 sqrt(200 · 0.25 · 0.75) = 50 ± 25.
        assert!((25..=75).contains(&barred), "{barred}");
        assert_eq!(found, values(covered(bare(), 0.25, (3, &places))));
        assert_ne!(found, values(covered(bare(), 0.25, (4, &places))));
        assert!(
            values(covered(bare(), 0.0, (3, &places)))
                .iter()
                .all(|x| *x == 7.0)
        );
    }
}
