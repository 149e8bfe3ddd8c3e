//! Lists of pairs of images, and reading the images of a pair.

use std::path::{Path, PathBuf};

use super::super::image_file::Colour;
use super::super::image_list::ImageList;
use super::super::{Normalization, Samples, Values, read_utf8};
use super::framing::Framing;
use crate::TrainingError;

/// Two images to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The first image.
    pub first: PathBuf,
    /// The second image.
    pub second: PathBuf,
}

/// The pairs in a file, one per line, as `path1;path2`. A relative path starts at the folder of the file. Empty lines are skipped.
///
/// # Source
/// Melzi et al., "FRCSyn challenge at WACV 2024" (arXiv 2311.10476): the format of the challenge's comparison files.
///
/// # Errors
/// [`TrainingError::Data`] that names the line, if a line is no pair or an image is missing.
pub fn read_comparisons(file: &Path) -> Result<Vec<Comparison>, TrainingError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut pairs = Vec::new();
    for (number, line) in read_utf8(file)?.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("{}, line {}", file.display(), number + 1);
        let paths: Vec<&str> = line.split(';').map(str::trim).collect();
        let [first, second] = paths[..] else {
            return Err(TrainingError::data(
                place,
                format!("`{line}` is no pair"),
                "write two paths with a semicolon between them",
            ));
        };
        for path in [first, second] {
            if path.is_empty() || !folder.join(path).is_file() {
                return Err(TrainingError::data(
                    place,
                    format!("there is no image {}", folder.join(path).display()),
                    "correct the path, which starts at the folder of the list",
                ));
            }
        }
        pairs.push(Comparison {
            first: folder.join(first),
            second: folder.join(second),
        });
    }
    match pairs.is_empty() {
        true => Err(TrainingError::data(
            file.display().to_string(),
            "it has no pair",
            "write one in each line: path1;path2",
        )),
        false => Ok(pairs),
    }
}

/// The images in these files with the given normalization, grey if `channels` is 1 and in colour otherwise. With `framing`, faces are cut out of
/// the images; without it, images are taken whole. All labels are 0.
///
/// # Errors
/// For a file that is no image, for images of several sizes if they are taken whole, and those of [`Framing`].
///
/// # Panics
/// Without a path.
pub fn read_images(
    paths: Vec<PathBuf>,
    channels: usize,
    normalization: Normalization,
    framing: Option<Framing>,
) -> Result<Samples, TrainingError> {
    let colour = match channels {
        1 => Colour::Grey,
        _ => Colour::Rgb,
    };
    let images = match framing {
        None => ImageList::new(paths, Some(colour))?,
        Some(framing) => ImageList::framed(paths, Some(colour), framing)?,
    };
    Ok(Samples {
        shape: images.shape(),
        labels: vec![0; images.len()],
        values: Values::Bytes(images.all()?),
        classes: 1,
        class_names: Vec::new(),
        normalization,
        origins: None,
        masks: None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_bad_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("pairs.txt");
        let read = |text: &str| {
            std::fs::write(&list, text).unwrap();
            read_comparisons(&list)
        };
        for name in ["a.png", "b.png"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let pairs = read("a.png;b.png\n\n b.png ; a.png \n").unwrap();
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[0].first, folder.path().join("a.png"));
        assert_eq!(pairs[1].second, pairs[0].first);
        for (text, part) in [
            (
                "a.png;b.png\na.png",
                "pairs.txt, line 2: `a.png` is no pair",
            ),
            (
                "a.png;b.png;a.png",
                "line 1: `a.png;b.png;a.png` is no pair",
            ),
            ("a.png;c.png", "line 1: there is no image"),
            ("a.png;", "line 1: there is no image"),
            ("\n", "it has no pair"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}
