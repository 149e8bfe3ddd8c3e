//! Labels from an array: numbers, names, or one-hot rows.

use super::element::Element;
use super::{Array, shown};
use crate::TrainingError;
use crate::data::class_list::{Labels, MOST_CLASSES};

impl Array {
    /// The array's values as labels. Its shape is `[n]`, `[n, 1]`, or one-hot `[n, classes]`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for another shape, and for a value that is no label, with its index.
    pub(in crate::data) fn into_labels(self) -> Result<Labels, TrainingError> {
        let (count, columns) = match *self.shape.as_slice() {
            [count] | [count, 1] => (count, 1),
            [count, columns] => (count, columns),
            _ => {
                return Err(TrainingError::data(
                    self.place,
                    format!("labels of shape {} cannot be used", shown(&self.shape)),
                    "use one label for each sample, or one-hot rows",
                ));
            }
        };
        if self.element.is_text() {
            if columns != 1 {
                return Err(TrainingError::data(
                    self.place,
                    format!("there are {columns} names for each sample"),
                    "use one label for each sample",
                ));
            }
            return self.names().map(Labels::Names);
        }
        let place = self.place.clone();
        let (element, bytes) = (self.element, self.bytes.some(0..self.size()));
        self.check_read()?;
        if columns == 1 && element == Element::U8 {
            return Ok(Labels::Numbers(
                bytes.iter().map(|label| u16::from(*label)).collect(),
            ));
        }
        // A 64-bit float holds every allowed label exactly, and no other number is rounded to one.
        let numbers = element.doubles(&bytes);
        if columns != 1 {
            return one_hot(&place, &numbers, count, columns);
        }
        let label = |(sample, number): (usize, f64)| {
            if number.fract() != 0.0 {
                return Err(TrainingError::data(
                    &place,
                    format!("label {number} of sample {sample} is not a whole number"),
                    "use the number of the class",
                ));
            }
            if !(0.0..MOST_CLASSES as f64).contains(&number) {
                return Err(TrainingError::data(
                    &place,
                    format!(
                        "label {number} of sample {sample} is outside 0..={}",
                        MOST_CLASSES - 1
                    ),
                    "number the classes from 0",
                ));
            }
            Ok(number as u16)
        };
        let labels: Result<_, _> = numbers.into_iter().enumerate().map(label).collect();
        labels.map(Labels::Numbers)
    }

    /// The elements as text.
    fn names(self) -> Result<Vec<String>, TrainingError> {
        let text = |bytes: &[u8]| match self.element {
            Element::Unicode(_) => {
                let code = |c: &[u8]| u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
                let characters = bytes.chunks_exact(4).map(|c| char::from_u32(code(c)));
                characters.collect::<Option<String>>()
            }
            _ => String::from_utf8(bytes.to_vec()).ok(),
        };
        let (size, all) = (self.element.size(), self.bytes.some(0..self.size()));
        self.check_read()?;
        // Elements of zero width are empty texts.
        let elements = (0..self.shape[0]).map(|index| &all[index * size..][..size]);
        let names = elements.enumerate().map(|(sample, bytes)| {
            let name = text(bytes).map(|name| name.trim_end_matches('\0').trim().to_string());
            name.filter(|name| !name.is_empty()).ok_or_else(|| {
                TrainingError::data(
                    &self.place,
                    format!("the label of sample {sample} is empty or no text"),
                    "give a class to every sample",
                )
            })
        });
        names.collect()
    }
}

fn one_hot(
    place: &str,
    numbers: &[f64],
    count: usize,
    columns: usize,
) -> Result<Labels, TrainingError> {
    if columns == 0 || columns > MOST_CLASSES {
        return Err(TrainingError::data(
            place,
            format!("one-hot labels of {columns} columns cannot be used"),
            format!("use 1 to {MOST_CLASSES} classes"),
        ));
    }
    let label = |(sample, row): (usize, &[f64])| {
        let ones = row.iter().filter(|x| **x == 1.0).count();
        let zeros = row.iter().filter(|x| **x == 0.0).count();
        let one = row.iter().position(|x| *x == 1.0);
        match one.filter(|_| ones == 1 && zeros == columns - 1) {
            Some(label) => Ok(label as u16),
            None => Err(TrainingError::data(
                place,
                format!("the {columns} labels of sample {sample} are not one 1 among zeros"),
                "use one label for each sample, or one-hot rows",
            )),
        }
    };
    let labels: Result<Vec<u16>, _> = numbers
        .chunks(columns)
        .take(count)
        .enumerate()
        .map(label)
        .collect();
    labels.map(Labels::Numbers)
}
