//! The manifest of a checkpoint: what the weights are and where they came from.

use std::collections::BTreeMap;
use std::path::Path;

use crossburn_noise::PathPattern;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::CheckpointError;

/// Format written to and expected in `manifest.json`.
pub const FORMAT: &str = "crossburn.checkpoint/1";

/// Content of `manifest.json`.
///
/// ```
/// use crossburn_checkpoints::Manifest;
/// use serde_json::json;
///
/// let manifest = Manifest::new(json!({"kind": "lenet", "bits": 4}), json!({"epochs": 10}), 7, json!("mnist"))
///     .with_metric("accuracy", 0.987);
/// manifest.expect_architecture(&json!({"bits": 4, "kind": "lenet"}))?;
/// assert!(manifest.expect_architecture(&json!({"bits": 2, "kind": "lenet"})).is_err());
/// # Ok::<(), crossburn_checkpoints::CheckpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    format: String,
    /// Version of the package that wrote it.
    pub version: String,
    /// Commit of the sources that wrote it, where known.
    pub commit: Option<String>,
    /// Configuration that builds the network, such as `{"kind": "lenet", "bits": 4}`.
    pub architecture: Value,
    /// How it was trained.
    pub recipe: Value,
    /// Seed of the training run.
    pub seed: u64,
    /// Which data, in which split.
    pub data: Value,
    /// The conventions of the network's items, such as the order of classes and the normalization; left out if nothing is
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conventions: Option<Value>,
    /// Whether the weights are those that are computed with, of a chip or after quantization: they are not quantized again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub programmed: bool,
    /// Weights that the checkpoint leaves out, since they rested: the network has them from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resting: Vec<PathPattern>,
    /// The noise that it was trained with, where training has found it: it is not that of the recipe then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_noise: Option<Value>,
    /// Full scales of the inputs of layers on arrays that it was trained with, by path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input_scales: BTreeMap<String, f32>,
    /// Results by name. A value that is not finite is written as `null` and read back as NaN.
    #[serde(deserialize_with = "null_is_nan")]
    pub metrics: BTreeMap<String, f64>,
    /// [`checksum`](crate::checksum()) of `model.safetensors`; empty until the checkpoint is saved.
    weights_checksum: String,
}

impl Manifest {
    /// A manifest with the version of this package, no commit and no metrics.
    pub fn new(architecture: Value, recipe: Value, seed: u64, data: Value) -> Self {
        Self {
            format: FORMAT.to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: None,
            architecture,
            recipe,
            seed,
            data,
            conventions: None,
            programmed: false,
            resting: Vec::new(),
            training_noise: None,
            input_scales: BTreeMap::new(),
            metrics: BTreeMap::new(),
            weights_checksum: String::new(),
        }
    }

    /// Names the commit of the sources.
    pub fn with_commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }

    /// Says what the network has learned its items by.
    pub fn with_conventions(mut self, conventions: Value) -> Self {
        self.conventions = Some(conventions);
        self
    }

    /// Says that the weights are those that a chip computes with.
    pub fn with_programmed_weights(mut self) -> Self {
        self.programmed = true;
        self
    }

    /// Names the weights that the checkpoint leaves out; none for a network whose weights are all in it.
    pub fn with_resting(mut self, patterns: impl IntoIterator<Item = PathPattern>) -> Self {
        self.resting = patterns.into_iter().collect();
        self
    }

    /// Names the noise that training has found.
    pub fn with_training_noise(mut self, noise: Value) -> Self {
        self.training_noise = Some(noise);
        self
    }

    /// Says which full scales the inputs of its layers have.
    pub fn with_input_scales(mut self, scales: BTreeMap<String, f32>) -> Self {
        self.input_scales = scales;
        self
    }

    /// Adds or replaces one result.
    pub fn with_metric(mut self, name: impl Into<String>, value: f64) -> Self {
        self.metrics.insert(name.into(), value);
        self
    }

    /// [`checksum`](crate::checksum()) of the weights this manifest was saved with; empty before.
    pub fn weights_checksum(&self) -> &str {
        &self.weights_checksum
    }

    /// Checks that the checkpoint was made with `architecture`. The order of keys does not count.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Architecture`] with both as JSON.
    pub fn expect_architecture(&self, architecture: &Value) -> Result<(), CheckpointError> {
        if self.architecture == *architecture {
            return Ok(());
        }
        Err(CheckpointError::Architecture {
            expected: architecture.to_string(),
            found: self.architecture.to_string(),
        })
    }

    /// The same manifest for the weights with this checksum.
    pub fn with_weights_checksum(mut self, checksum: String) -> Self {
        self.weights_checksum = checksum;
        self
    }

    /// Indented JSON, for the file at `path`.
    pub(crate) fn to_json(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        to_json(self, path)
    }

    /// Parses the content of the file at `path`.
    pub(crate) fn from_json(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        from_json(bytes, path, FORMAT)
    }
}

/// Indented JSON of `value`, with a final line break.
pub(crate) fn to_json(value: &impl Serialize, path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut json = serde_json::to_vec_pretty(value).map_err(|e| CheckpointError::Encode {
        path: path.into(),
        cause: e.to_string(),
    })?;
    json.push(b'\n');
    Ok(json)
}

/// Parses a JSON object with a field `format`, which is checked before all others: a file of a later version is
/// reported as such, not by the first field that is new in it.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    path: &Path,
    format: &'static str,
) -> Result<T, CheckpointError> {
    let malformed = |e: serde_json::Error| CheckpointError::Malformed {
        path: path.into(),
        cause: e.to_string(),
    };
    let value: Value = serde_json::from_slice(bytes).map_err(malformed)?;
    match value.get("format").and_then(Value::as_str) {
        Some(found) if found != format => Err(CheckpointError::Format {
            path: path.into(),
            expected: format,
            found: found.to_string(),
        }),
        // From the bytes again: errors then carry line and column. A missing format is one of them.
        _ => serde_json::from_slice(bytes).map_err(malformed),
    }
}

/// Reads a map of numbers in which JSON's `null` stands for NaN.
fn null_is_nan<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, f64>, D::Error> {
    let map = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(map
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let architecture = json!({"kind": "lenet", "bits": 4});
        Manifest::new(architecture, json!({"lr": 0.1}), u64::MAX, json!("mnist"))
            .with_commit("abc")
            .with_metric("accuracy", 0.1 + 0.2)
            .with_weights_checksum("0123456789abcdef".to_string())
    }

    fn parse(json: &[u8]) -> Result<Manifest, CheckpointError> {
        Manifest::from_json(json, Path::new("run/manifest.json"))
    }

    #[test]
    fn round_trip_is_exact() {
        let json = manifest().to_json(Path::new("m")).unwrap();
        assert_eq!(parse(&json).unwrap(), manifest());
    }

    #[test]
    fn programmed_weights_are_marked_and_others_are_not() {
        let json = manifest().to_json(Path::new("m")).unwrap();
        assert!(!String::from_utf8(json).unwrap().contains("programmed"));
        let marked = manifest().with_programmed_weights();
        let json = marked.to_json(Path::new("m")).unwrap();
        assert!(parse(&json).unwrap().programmed);
    }

    #[test]
    fn a_noise_that_training_has_found_is_kept_and_others_are_not_named() {
        let json = manifest().to_json(Path::new("m")).unwrap();
        assert!(!String::from_utf8(json).unwrap().contains("training_noise"));
        let found = manifest().with_training_noise(json!({"kind": "gaussian"}));
        let json = found.to_json(Path::new("m")).unwrap();
        let noise = parse(&json).unwrap().training_noise;
        assert_eq!(noise, Some(json!({"kind": "gaussian"})));
    }

    #[test]
    fn full_scales_are_read_back_to_the_bit() {
        let scales = BTreeMap::from([("fc1.weight".to_string(), 0.1f32 + 0.2)]);
        let json = manifest().with_input_scales(scales.clone());
        let json = json.to_json(Path::new("m")).unwrap();
        assert_eq!(parse(&json).unwrap().input_scales, scales);
        assert_eq!(
            parse(&manifest().to_json(Path::new("m")).unwrap())
                .unwrap()
                .input_scales,
            BTreeMap::new()
        );
    }

    #[test]
    fn diverged_metric_stays_readable() {
        let json = manifest().with_metric("loss", f64::INFINITY);
        let json = json.to_json(Path::new("m")).unwrap();
        let read = parse(&json).unwrap();
        assert!(read.metrics["loss"].is_nan());
        assert_eq!(read.metrics["accuracy"], 0.1 + 0.2);
    }

    #[test]
    fn messages() {
        let json = String::from_utf8(manifest().to_json(Path::new("m")).unwrap()).unwrap();
        let newer = json.replace("checkpoint/1", "checkpoint/2");
        assert_eq!(
            parse(newer.as_bytes()).unwrap_err().to_string(),
            "run/manifest.json has format \"crossburn.checkpoint/2\", this version reads \"crossburn.checkpoint/1\"; use the version that wrote it"
        );
        let unknown = json.replace("\"seed\"", "\"sead\"");
        assert!(
            parse(unknown.as_bytes())
                .unwrap_err()
                .to_string()
                .starts_with(
                    "run/manifest.json cannot be understood: unknown field `sead`, expected one of"
                )
        );
        for cut in 0..json.len() - 2 {
            let error = parse(&json.as_bytes()[..cut]).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        let error = manifest().expect_architecture(&json!({"kind": "vgg"}));
        assert_eq!(
            error.unwrap_err().to_string(),
            "the checkpoint holds architecture {\"kind\":\"lenet\",\"bits\":4}, not {\"kind\":\"vgg\"}; change the configuration or choose another checkpoint"
        );
    }
}
