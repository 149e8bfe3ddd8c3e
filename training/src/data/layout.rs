//! The meaning of the axes of an array.

use super::Values;
use super::array::{Array, shown};
use super::options::Options;
use super::statistics::Scale;
use super::streamed::Streamed;
use crate::TrainingError;

/// The option that names the axes.
pub(super) const OPTIONS: &[&str] = &["axes"];

/// The meaning of the axes of an array, one letter each: n samples, c channels, h rows, w columns of pixels, l points in time, f features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axes {
    Nf,
    Nl,
    Nhw,
    Ncl,
    Nlc,
    Nhwc,
    Nchw,
}

/// All meanings with their names.
const ALL: [(&str, Axes); 7] = [
    ("nf", Axes::Nf),
    ("nl", Axes::Nl),
    ("nhw", Axes::Nhw),
    ("ncl", Axes::Ncl),
    ("nlc", Axes::Nlc),
    ("nhwc", Axes::Nhwc),
    ("nchw", Axes::Nchw),
];

/// Samples without labels.
#[derive(Debug, PartialEq)]
pub(super) struct Arranged {
    pub(super) values: Values,
    /// `[channels, height, width]`.
    pub(super) shape: [usize; 3],
    pub(super) count: usize,
    pub(super) scale: Scale,
}

/// The axes that an option names.
///
/// # Errors
/// [`TrainingError::SourceOption`] that lists all names.
pub(super) fn axes(options: &Options) -> Result<Option<Axes>, TrainingError> {
    let Some(text) = options.get("axes") else {
        return Ok(None);
    };
    match ALL.iter().find(|(name, _)| *name == text) {
        Some((_, axes)) => Ok(Some(*axes)),
        None => {
            let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
            Err(options.refuse(format!(
                "axes={text} is not allowed: use {}",
                names.join(", ")
            )))
        }
    }
}

/// The samples of an array with the given axes. If none are given, two axes are rows of features, three are grey images, and four are images
/// whose channels are the axis of length 1, 3 or 4, either the second or the last.
///
/// # Errors
/// [`TrainingError::Data`] if the axes do not fit the array or cannot be guessed, or if it has no samples or no numbers.
pub(super) fn arrange(array: Array, axes: Option<Axes>) -> Result<Arranged, TrainingError> {
    let place = array.place.clone();
    let bad = |problem: String, remedy: &str| TrainingError::data(&place, problem, remedy);
    let shape = array.shape.clone();
    let axes = match axes {
        Some(axes) => axes,
        None => guess(&shape).map_err(|remedy| {
            bad(
                format!("the axes of its shape {} cannot be told", shown(&shape)),
                remedy,
            )
        })?,
    };
    // Channels, rows, columns, and whether channels come last.
    let ([channels, height, width], last) = match (axes, shape.as_slice()) {
        (Axes::Nf | Axes::Nl, &[_, w]) => ([1, 1, w], false),
        (Axes::Nhw, &[_, h, w]) => ([1, h, w], false),
        (Axes::Ncl, &[_, c, l]) => ([c, 1, l], false),
        (Axes::Nlc, &[_, l, c]) => ([c, 1, l], true),
        (Axes::Nchw, &[_, c, h, w]) => ([c, h, w], false),
        (Axes::Nhwc, &[_, h, w, c]) => ([c, h, w], true),
        _ => {
            let name = ALL.iter().find(|(_, known)| *known == axes);
            let name = name.map_or("", |(name, _)| *name);
            return Err(bad(
                format!("axes={name} does not fit its shape {}", shown(&shape)),
                "name one letter for each axis",
            ));
        }
    };
    let count = shape[0];
    let last = last && channels > 1;
    let values = match array.is_stored() {
        true => Values::Streamed(Streamed::array(array, last.then_some(channels))?),
        false => array.into_values()?,
    };
    if values.is_empty() {
        return Err(bad(
            format!("it holds no samples (shape {})", shown(&shape)),
            "name another array",
        ));
    }
    let scale = match axes == Axes::Nf && !values.are_bytes() {
        true => Scale::PerValue,
        false => Scale::PerChannel,
    };
    let values = match (last, values) {
        (false, values) | (true, values @ Values::Streamed(_)) => values,
        (true, Values::Bytes(bytes)) => {
            Values::Bytes(channels_first(&bytes, height * width, channels))
        }
        (true, Values::Floats(floats)) => {
            Values::Floats(channels_first(&floats, height * width, channels))
        }
    };
    Ok(Arranged {
        values,
        shape: [channels, height, width],
        count,
        scale,
    })
}

/// The likely axes of an array of `shape`, or a message how to name them.
fn guess(shape: &[usize]) -> Result<Axes, &'static str> {
    let colours = |channels: usize| matches!(channels, 1 | 3 | 4);
    match *shape {
        [_, _] => Ok(Axes::Nf),
        [_, _, _] => Ok(Axes::Nhw),
        [_, first, _, last] => match (colours(first), colours(last)) {
            (true, false) => Ok(Axes::Nchw),
            (false, true) => Ok(Axes::Nhwc),
            _ => Err("add ?axes=nchw or ?axes=nhwc to the source"),
        },
        _ => Err("save samples with two to four axes, the first over samples"),
    }
}

/// Samples `[points, channels]`, transposed to `[channels, points]`.
pub(super) fn channels_first<T: Copy>(values: &[T], points: usize, channels: usize) -> Vec<T> {
    let mut arranged = Vec::with_capacity(values.len());
    for sample in values.chunks_exact(points * channels) {
        for channel in 0..channels {
            arranged.extend(sample.iter().skip(channel).step_by(channels).copied());
        }
    }
    arranged
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::array::writing::npy;
    use super::*;

    fn array(descr: &str, shape: &[usize], bytes: Vec<u8>) -> Array {
        let bytes = npy(descr, shape, &bytes);
        Array::read("x.npy".to_string(), bytes.as_slice(), bytes.len() as u64).unwrap()
    }

    fn bytes(shape: &[usize]) -> Array {
        array(
            "|u1",
            shape,
            (0..shape.iter().product::<usize>() as u8).collect(),
        )
    }

    fn arranged(shape: &[usize], named: Option<&str>) -> Result<Arranged, TrainingError> {
        let option = named.map_or(String::new(), |axes| format!("?axes={axes}"));
        let options = Options::parse("npy", &format!("x.npy{option}"), &[OPTIONS]).unwrap();
        arrange(bytes(shape), axes(&options)?)
    }

    #[test]
    fn axes_are_told_or_named() {
        for (shape, named, expected, first_values) in [
            (&[2, 5][..], None, [1, 1, 5], [0, 1, 2]),
            (&[2, 5], Some("nl"), [1, 1, 5], [0, 1, 2]),
            (&[2, 3, 5], None, [1, 3, 5], [0, 1, 2]),
            (&[2, 3, 5], Some("ncl"), [3, 1, 5], [0, 1, 2]),
            (&[2, 3, 5], Some("nlc"), [5, 1, 3], [0, 5, 10]),
            (&[2, 3, 5, 6], None, [3, 5, 6], [0, 1, 2]),
            (&[2, 5, 6, 3], None, [3, 5, 6], [0, 3, 6]),
            (&[2, 5, 6, 1], None, [1, 5, 6], [0, 1, 2]),
            (&[2, 3, 5, 3], Some("nchw"), [3, 5, 3], [0, 1, 2]),
            (&[2, 3, 5, 3], Some("nhwc"), [3, 3, 5], [0, 3, 6]),
            (&[2, 2, 5, 6], Some("nchw"), [2, 5, 6], [0, 1, 2]),
        ] {
            let arranged = arranged(shape, named).unwrap();
            assert_eq!(
                (arranged.shape, arranged.count),
                (expected, 2),
                "{shape:?} {named:?}"
            );
            assert_eq!(arranged.scale, Scale::PerChannel);
            let Values::Bytes(values) = arranged.values else {
                unreachable!()
            };
            assert_eq!(values[..3], first_values, "{shape:?} {named:?}");
        }
    }

    #[test]
    fn channels_move_in_every_sample() {
        let moved = arranged(&[2, 2, 2], Some("nlc")).unwrap();
        assert_eq!(moved.values, Values::Bytes(vec![0, 2, 1, 3, 4, 6, 5, 7]));
    }

    #[test]
    fn features_that_are_no_pixels_are_scaled_one_by_one() {
        let floats = |axes| {
            arrange(array("<f4", &[1, 2], vec![0; 8]), axes)
                .unwrap()
                .scale
        };
        assert_eq!(floats(None), Scale::PerValue);
        assert_eq!(floats(Some(Axes::Nl)), Scale::PerChannel);
    }

    #[test]
    fn axes_that_cannot_be_told_are_asked_for() {
        for (shape, named, part) in [
            (
                &[2, 3, 5, 3][..],
                None,
                "shape [2, 3, 5, 3] cannot be told; add ?axes=nchw or ?axes=nhwc",
            ),
            (&[2, 2, 5, 6], None, "cannot be told"),
            (
                &[7],
                None,
                "shape [7] cannot be told; save samples with two to four axes",
            ),
            (&[1, 1, 1, 1, 1], None, "two to four axes"),
            (
                &[2, 5],
                Some("nhw"),
                "axes=nhw does not fit its shape [2, 5]; name one letter",
            ),
            (&[2, 0], None, "it holds no samples (shape [2, 0])"),
            (&[0, 5], None, "it holds no samples"),
            (
                &[2, 5],
                Some("hw"),
                "axes=hw is not allowed: use nf, nl, nhw, ncl, nlc, nhwc, nchw",
            ),
        ] {
            let message = arranged(shape, named).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
