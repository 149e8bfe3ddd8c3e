//! Tables of landmarks: the places of eyes, nose and mouth in images.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::alignment::{COUNTS, Point};
use crate::TrainingError;

/// The remedy for a row that cannot be read.
const ROW: &str = "write the path of the image, then x and y of both eyes, or of both eyes, the nose and both corners of the mouth";

/// The landmarks of some images.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    /// Where they were read, for messages.
    place: String,
    of: BTreeMap<PathBuf, Vec<Point>>,
}

/// The canonical path of a file; the path itself if there is no such file.
fn one_name(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

impl Landmarks {
    /// Reads a table with a header. The first column is the path of an image, relative to the folder of the table. Then come x and y, in pixels, of the
    /// left eye and the right eye, and optionally of the tip of the nose and of the left and the right corner of the mouth. Left means left in the
    /// image.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] that names the line of a row that cannot be read.
    pub fn read(file: &Path) -> Result<Self, TrainingError> {
        let place = file.display().to_string();
        let read = |cause| TrainingError::Read {
            path: file.to_path_buf(),
            cause,
        };
        let opened = fs::File::open(file).map_err(read)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let mut rows = ReaderBuilder::new()
            .flexible(true)
            .trim(Trim::All)
            .from_reader(opened);
        let (mut of, mut record) = (BTreeMap::new(), StringRecord::new());
        loop {
            let more = rows.read_record(&mut record);
            let line = record.position().map_or(1, csv::Position::line);
            let at = format!("{place}, line {line}");
            match more {
                Ok(false) => break,
                Ok(true) => {}
                Err(cause) => return Err(TrainingError::data(at, cause.to_string(), ROW)),
            }
            let (path, points) = row(&record)
                .ok_or_else(|| TrainingError::data(&at, "it holds no landmarks", ROW))?;
            if of.insert(one_name(&folder.join(path)), points).is_some() {
                return Err(TrainingError::data(
                    at,
                    format!("{path} has landmarks in another line already"),
                    "leave one of them out",
                ));
            }
        }
        match of.is_empty() {
            true => Err(TrainingError::data(
                place,
                "it has no row after its header",
                ROW,
            )),
            false => Ok(Self { place, of }),
        }
    }

    /// The landmarks of the image at `path`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for an image that has none.
    pub(super) fn on(&self, path: &Path) -> Result<&[Point], TrainingError> {
        let found = self.of.get(&one_name(path)).map(Vec::as_slice);
        found.ok_or_else(|| {
            TrainingError::data(
                path.display().to_string(),
                format!("{} has no landmarks for this image", self.place),
                "add a row, or remove the image",
            )
        })
    }
}

/// The path and the landmarks in a row.
fn row(record: &StringRecord) -> Option<(&str, Vec<Point>)> {
    let path = record.get(0).filter(|path| !path.is_empty())?;
    let numbers = record.iter().skip(1).map(|text| text.parse().ok());
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    let points: Vec<Point> = numbers.chunks_exact(2).map(|xy| [xy[0], xy[1]]).collect();
    let whole = numbers.iter().all(|n| n.is_finite()) && numbers.len() == 2 * points.len();
    (whole && COUNTS.contains(&points.len())).then_some((path, points))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("marks.csv");
        let read = |rows: &str| {
            fs::write(&file, format!("image,x1,y1,x2,y2\n{rows}")).unwrap();
            Landmarks::read(&file)
        };
        fs::write(folder.path().join("b.png"), "x").unwrap();
        let marks = read("a.png,1,2, 3.5 ,4\nb.png,1,2,3,4,5,6,7,8,9,10\n").unwrap();
        let on = |name: &str| marks.on(&folder.path().join(name));
        assert_eq!(on("a.png").unwrap(), [[1.0, 2.0], [3.5, 4.0]]);
        // Two spellings of a path are the same file.
        assert_eq!(on("./b.png").unwrap().len(), 5);
        let message = on("c.png").unwrap_err().to_string();
        assert!(message.contains("marks.csv has no landmarks for this image"));
        for (rows, part) in [
            (
                "a.png,1,2,3,4\na.png,1,2,3\n",
                "line 3: it holds no landmarks",
            ),
            ("a.png,1,2,3,x\n", "line 2: it holds no landmarks"),
            ("a.png,1,2,3,inf\n", "line 2: it holds no landmarks"),
            ("a.png,1,2,3,4,5,6\n", "line 2: it holds no landmarks"),
            (",1,2,3,4\n", "line 2: it holds no landmarks"),
            (
                "a.png,1,2,3,4\na.png,1,2,3,4\n",
                "line 3: a.png has landmarks",
            ),
            ("", "it has no row after its header"),
        ] {
            let message = read(rows).unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{rows}: {message}"
            );
        }
    }
}
