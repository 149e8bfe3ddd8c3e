//! Joins faces of several sources into one set, as grey squares of one size.

use super::super::{Normalization, Origins, Sample, Samples, Values};
use super::framing::{centred, warp};
use crate::TrainingError;

/// Weights of red, green and blue in a shade of grey.
///
/// # Source
/// Recommendation ITU-R BT.709: the luma coefficients. `colour=grey` uses the same for images in files.
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// The same faces as grey squares of `side` pixels, cut out of the middle of their images: `[1, side, side]`. They are normalized to -1 to 1.
///
/// # Errors
/// [`TrainingError::Data`] for samples that are not grey or colour images of bytes, and for an image that can no longer be read.
pub fn grey_squares(samples: &Samples, side: usize) -> Result<Samples, TrainingError> {
    let [channels, height, width] = samples.shape;
    if !(samples.values.are_bytes() && [1, 3].contains(&channels) && height * width > 0) {
        let found = format!("these samples are {channels} x {height} x {width} numbers");
        let remedy = "name images of 8 bits in grey or in colour";
        return Err(TrainingError::data("faces", found, remedy));
    }
    let map = centred([height, width], [side; 2]);
    let mut squares = vec![0; samples.len() * side * side];
    for (index, square) in squares.chunks_exact_mut((side * side).max(1)).enumerate() {
        let sample = samples.sample(index);
        if let Sample::Bytes(pixels) = &sample {
            let grey = grey(pixels, channels);
            warp((&grey, [1, height, width]), &map, (square, [side; 2]));
        }
    }
    samples.check_read()?;
    Ok(Samples {
        shape: [1, side, side],
        values: Values::Bytes(squares),
        normalization: Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        },
        masks: None,
        ..samples.clone()
    })
}

/// The shades of an image whose channels come one after the other.
fn grey(pixels: &[u8], channels: usize) -> Vec<u8> {
    if channels == 1 {
        return pixels.to_vec();
    }
    let plane = pixels.len() / channels;
    let shade = |pixel: usize| {
        let colours = LUMA.iter().enumerate();
        let shares =
            colours.map(|(channel, share)| share * f64::from(pixels[channel * plane + pixel]));
        shares.sum::<f64>().round() as u8
    };
    (0..plane).map(shade).collect()
}

/// All sets as one, one after the other. The groups of the first set keep their numbers, and those of the next sets follow. The normalization is
/// that of the first set.
///
/// # Errors
/// [`TrainingError::Data`] if there is no set, if shapes differ, if values are not bytes, if the people in a set are unknown, or if a person is
/// in two sets.
pub fn together(sets: &[&Samples]) -> Result<Samples, TrainingError> {
    let bad = |problem: String, remedy: &str| Err(TrainingError::data("faces", problem, remedy));
    let Some(first) = sets.first() else {
        return bad("there is no set".to_string(), "name one");
    };
    let (mut bytes, mut labels, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut people, mut known) = (Vec::new(), std::collections::BTreeSet::new());
    for set in sets {
        if set.shape != first.shape {
            let problem = format!("sets of {:?} and of {:?} pixels", first.shape, set.shape);
            return bad(problem, "bring all images to one size and colour");
        }
        let (Values::Bytes(pixels), Some(origins)) = (&set.values, &set.origins) else {
            let problem = "a set is not of bytes, or nobody knows who is on its images";
            return bad(problem.to_string(), "name images of people");
        };
        // The list of names may also contain people who are in other parts of the set.
        let own: Vec<&str> = origins.names().collect();
        let new: std::collections::BTreeSet<&str> = own.iter().copied().collect();
        if let Some(name) = new.intersection(&known).next() {
            let problem = format!("{name} is a person of two sets");
            return bad(problem, "give every person a name of their own");
        }
        known.extend(new);
        let before = names.len() as u16;
        bytes.extend_from_slice(pixels);
        labels.extend(set.labels.iter().map(|label| before + label));
        names.extend((0..set.classes).map(|group| set.class_name(group)));
        people.extend(own);
    }
    let origins = Origins::in_order(people.into_iter().zip(labels.iter().copied()));
    Ok(Samples {
        shape: first.shape,
        values: Values::Bytes(bytes),
        classes: names.len(),
        class_names: names,
        labels,
        normalization: first.normalization.clone(),
        origins: Some(origins),
        masks: None,
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use std::path::Path;

    use super::super::{FacesConfig, faces, people};
    use super::*;
    use crate::data::DataSource;

    fn set(name: &str, shape: [usize; 3], pixels: Vec<u8>) -> Samples {
        let count = pixels.len() / shape.iter().product::<usize>();
        Samples {
            shape,
            values: Values::Bytes(pixels),
            labels: vec![0; count],
            classes: 1,
            class_names: vec![format!("group of {name}")],
            normalization: Normalization::none(shape[0]),
            origins: Some(Origins::in_order((0..count).map(|_| (name, 0)))),
            masks: None,
        }
    }

    #[test]
    fn colours_become_the_shades_that_files_become() {
        let mut image = image::RgbImage::new(5, 5);
        for (place, pixel) in image.pixels_mut().enumerate() {
            let place = place as u8;
            pixel.0 = [10 * place, 255 - 9 * place, 7 * place];
        }
        let planes: Vec<u8> = (0..3)
            .flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel]))
            .collect();
        let found = grey_squares(&set("ann", [3, 5, 5], planes), 5).unwrap();
        let expected = image::DynamicImage::ImageRgb8(image).into_luma8();
        // The crate that reads files truncates shades, which are rounded here.
        let gaps = found.bytes().iter().zip(expected.iter());
        assert!(gaps.clone().all(|(a, b)| a.abs_diff(*b) <= 1));
        assert_eq!(found.shape, [1, 5, 5]);
        assert_eq!(people(&found).len(), 1);
        let small = grey_squares(&set("ann", [1, 2, 4], vec![0, 10, 20, 0, 0, 30, 40, 0]), 1);
        assert_eq!(small.unwrap().bytes(), [25]);
        let two = set("ann", [2, 1, 1], vec![1, 2]);
        let message = grey_squares(&two, 8).unwrap_err().to_string();
        assert!(message.contains("these samples are 2 x 1 x 1"), "{message}");
    }

    #[test]
    fn groups_and_people_of_several_sets_stay_apart() {
        let config = FacesConfig {
            images: 2,
            ..FacesConfig::default()
        };
        let drawn = faces(1, 0, 16, &config);
        let own = set("ann", [1, 32, 32], vec![3; 2048]);
        let both = together(&[&own, &drawn]).unwrap();
        assert_eq!((both.len(), both.classes), (18, 9));
        assert_eq!(both.class_names[..2], ["group of ann", "g1"]);
        assert_eq!(both.labels[..2], [0, 0]);
        assert_eq!(both.labels[2], drawn.labels[0] + 1);
        assert_eq!(people(&both), &people(&drawn) | &people(&own));
        assert_eq!(both.image(5), drawn.image(3));
        for (sets, part) in [
            (vec![&own, &own], "ann is a person of two sets"),
            (vec![], "there is no set"),
        ] {
            let message = together(&sets).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let small = set("bob", [1, 1, 1], vec![1]);
        let message = together(&[&own, &small]).unwrap_err().to_string();
        assert!(
            message.contains("bring all images to one size"),
            "{message}"
        );
        let nobody = Samples {
            origins: None,
            ..own.clone()
        };
        assert!(together(&[&nobody]).is_err());
    }

    #[test]
    fn photographs_of_an_array_are_parted_by_people() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/faces-london");
        if !folder.exists() {
            eprintln!("skipped: {} is not there", folder.display());
            return;
        }
        let array = folder.join("london_112_u8.npy");
        for seed in 101..106 {
            let mut judged = 0;
            for fold in 0..2 {
                let text = format!(
                    "npy:{}?labels=index.csv&label=group&group=identity&folds=2&fold={fold}&split_seed={seed}",
                    array.display()
                );
                let source: DataSource = text.parse().unwrap();
                let split = source.load(seed, None, None).unwrap();
                assert!(people(&split.train).is_disjoint(&people(&split.test)));
                let test = grey_squares(&split.test, 32).unwrap();
                assert_eq!((test.shape, test.classes), ([1, 32, 32], 4));
                judged += people(&test).len();
                // Two images of each of two people in every group.
                for group in 0..4 {
                    let images = test.labels.iter().filter(|label| **label == group);
                    assert!(images.count() >= 4, "{seed} {fold} {group}");
                }
                // The mean shade of a face is neither black nor white.
                let sum: u64 = test.bytes().iter().map(|pixel| u64::from(*pixel)).sum();
                let mean = sum / test.bytes().len() as u64;
                assert!((40..220).contains(&mean), "{mean}");
            }
            assert_eq!(judged, 70);
        }
    }
}
