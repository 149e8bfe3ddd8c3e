//! How inputs are normalized for a network of another program.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use crossburn_checkpoints::write_bytes;
use crossburn_training::data::{DataSource, Normalization};
use serde::Deserialize;

/// Means and standard deviations of channels. Networks see `(x - mean) / std`; a byte counts as `byte / 255`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Normalize {
    mean: String,
    std: String,
}

impl Normalize {
    /// `source` with this normalization.
    ///
    /// # Errors
    /// For a source that has a normalization already or takes none, and for unusable numbers.
    pub(crate) fn of(&self, source: &DataSource) -> Result<DataSource> {
        Ok(source.normalized(&self.mean, &self.std)?)
    }
}

impl fmt::Display for Normalize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mean, self.std)
    }
}

impl FromStr for Normalize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = |text: &str| {
            let finite = |number: &str| number.parse::<f32>().is_ok_and(f32::is_finite);
            text.split(',').all(finite)
        };
        match text.split_once('/') {
            Some((mean, std)) if numbers(mean) && numbers(std) => Ok(Self {
                mean: mean.to_string(),
                std: std.to_string(),
            }),
            _ => Err("use MEAN/STD, numbers for each channel with commas, such as 0.485,0.456,0.406/0.229,0.224,0.225".to_string()),
        }
    }
}

/// The TOML file beside a model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    /// Means and standard deviations, as for `--normalize`.
    normalize: String,
}

/// `source` with the normalization of the network in the file `model`: the source's own one if it was asked for, otherwise the one in the file beside the
/// model.
///
/// # Errors
/// A file beside the model that cannot be read or has other content; a normalization that `source` does not take.
pub(crate) fn as_seen_by(model: &Path, source: DataSource) -> Result<DataSource> {
    // A normalization that was asked for is preferred.
    if source.is_normalized() {
        return Ok(source);
    }
    match beside(model)? {
        Some(normalize) => normalize
            .of(&source)
            .with_context(|| format!("{}.toml asks for a normalization", model.display())),
        None => Ok(source),
    }
}

/// The path of the TOML file beside `model`.
pub(crate) fn beside_path(model: &Path) -> PathBuf {
    model.with_added_extension("toml")
}

/// Writes the file beside `model`, so that later runs see the items of `source` with `normalization`. Nothing is written if values are not
/// normalized, or if the source takes no other normalization.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn write_beside(
    model: &Path,
    normalization: &Normalization,
    source: &DataSource,
) -> Result<()> {
    let Normalization { mean, std } = normalization;
    if mean.iter().all(|mean| *mean == 0.0) && std.iter().all(|std| *std == 1.0) {
        return Ok(());
    }
    let numbers = |values: &[f32]| {
        let numbers: Vec<String> = values.iter().map(f32::to_string).collect();
        numbers.join(",")
    };
    let normalize = Normalize {
        mean: numbers(mean),
        std: numbers(std),
    };
    if !source.is_normalized() && normalize.of(source).is_err() {
        return Ok(());
    }
    let text = format!("normalize = \"{normalize}\"\n");
    Ok(write_bytes(&beside_path(model), text.as_bytes())?)
}

/// The normalization in `MODEL.onnx.toml` beside `MODEL.onnx`, if that file exists.
///
/// # Errors
/// A file that cannot be read or has other content.
fn beside(model: &Path) -> Result<Option<Normalize>> {
    let path = beside_path(model);
    if !path.is_file() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(&path)?;
    let bad = || {
        format!(
            "{} does not describe the model: write the line normalize = \"MEAN/STD\"",
            path.display()
        )
    };
    let beside: Beside = toml::from_str(&text).with_context(bad)?;
    let normalize = beside.normalize.parse().map_err(anyhow::Error::msg);
    normalize.with_context(bad).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// The verbs read what an export writes. Procedural digits have a fixed normalization.
    #[test]
    fn a_file_beside_a_model_is_written_where_its_data_ask_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.onnx");
        let source = |text: &str| text.parse::<DataSource>().unwrap();
        let normalization = Normalization {
            mean: vec![0.5, 0.1, 0.25],
            std: vec![0.3, 1.0, 2.0],
        };
        let mut one = Normalization::none(1);
        for (normalization, from) in [(&one, "mnist:DIR"), (&normalization, "digits")] {
            write_beside(&model, normalization, &source(from)).unwrap();
            assert_eq!(beside(&model).unwrap(), None, "{from}");
        }
        one.mean[0] = 0.1307;
        for (normalization, from, expected) in [
            (&normalization, "cifar10:DIR", "0.5,0.1,0.25/0.3,1,2"),
            (&one, "mnist:DIR?mean=0.1307&std=1", "0.1307/1"),
        ] {
            write_beside(&model, normalization, &source(from)).unwrap();
            assert_eq!(beside(&model).unwrap(), Some(expected.parse().unwrap()));
        }
    }

    #[test]
    fn means_and_deviations_are_read_as_they_are_written() {
        for text in ["0.5/0.25", "0.485,0.456,0.406/0.229,0.224,0.225"] {
            assert_eq!(text.parse::<Normalize>().unwrap().to_string(), text);
        }
        for text in ["", "0.5", "0.5/", "/1", "a/1", "0.5,/1", "inf/1"] {
            assert!(text.parse::<Normalize>().is_err(), "{text}");
        }
        let source: DataSource = "cifar10:DIR".parse().unwrap();
        let normalize: Normalize = "1,2,3/4,5,6".parse().unwrap();
        let once = normalize.of(&source).unwrap();
        assert_eq!(once.to_string(), "cifar10:DIR?mean=1,2,3&std=4,5,6");
        // A repeated command contains it twice.
        assert_eq!(normalize.of(&once).unwrap(), once);
        let other: Normalize = "1,2,3/4,5,7".parse().unwrap();
        assert!(other.of(&once).is_err());
    }

    #[test]
    fn a_file_beside_the_model_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("net.onnx");
        assert_eq!(beside(&model).unwrap(), None);
        // A recipe of that name is not a file about the model.
        std::fs::write(folder.path().join("net.toml"), "seed = 1\n").unwrap();
        assert_eq!(beside(&model).unwrap(), None);
        let file = folder.path().join("net.onnx.toml");
        std::fs::write(&file, "normalize = \"0.5/0.25\"\n").unwrap();
        assert_eq!(beside(&model).unwrap(), Some("0.5/0.25".parse().unwrap()));
        let seen = |text: &str| {
            as_seen_by(&model, text.parse().unwrap())
                .unwrap()
                .to_string()
        };
        assert_eq!(seen("mnist:DIR"), "mnist:DIR?mean=0.5&std=0.25");
        assert_eq!(seen("mnist:DIR?mean=1&std=2"), "mnist:DIR?mean=1&std=2");
        for text in ["normalise = \"0.5/0.25\"", "normalize = \"x\"", "normalize"] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", beside(&model).unwrap_err());
            assert!(error.contains("net.onnx.toml does not describe"), "{error}");
        }
    }
}
