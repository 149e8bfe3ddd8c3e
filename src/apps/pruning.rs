//! Prunes a language model: removes its least important heads and channels, and compares it with the original.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{FloatType, LanguageModel, export_pruned_model};
use crossburn_hardware::deploy::input_squares;
use crossburn_models::decoder::{Decoder, DecoderConfig, Kept};
use crossburn_noise::host_weights_at;
use crossburn_training::data::DataSource;
use crossburn_training::{
    BaseModel, Batches, Evaluation, LanguageModelling, LanguageModellingConfig, Task,
};
use serde::Serialize;
use serde_json::Value;

use super::comparison::{BATCH, Comparison, row};
use super::study::Clock;
use crate::report::{DataSummary, Results};

/// The share of heads and the share of feed-forward channels that are removed from every block.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Shares {
    heads: f64,
    mlp: f64,
}

impl FromStr for Shares {
    type Err = String;

    /// `heads=0.25,mlp=0.5`, or one of the two.
    fn from_str(text: &str) -> Result<Self, String> {
        let usage =
            || "use heads=SHARE,mlp=SHARE or one of the two, with shares above 0 and below 1";
        let mut shares = Self {
            heads: 0.0,
            mlp: 0.0,
        };
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or_else(usage)?;
            let place = match name {
                "heads" => &mut shares.heads,
                "mlp" => &mut shares.mlp,
                _ => return Err(usage().to_string()),
            };
            let share: f64 = share.parse().map_err(|_| usage())?;
            if *place != 0.0 || !(share > 0.0 && share < 1.0) {
                return Err(usage().to_string());
            }
            *place = share;
        }
        Ok(shares)
    }
}

/// Prunes one language model.
#[derive(Debug)]
pub(crate) struct PruningJob<'a> {
    /// The model.
    pub(crate) model: &'a Path,
    pub(crate) shares: Shares,
    /// The source of texts; below, the seed of procedural ones.
    pub(crate) source: DataSource,
    pub(crate) seed: u64,
    pub(crate) texts: LanguageModellingConfig,
    /// Number of training items on which inputs are measured; with 0 only the weights decide.
    pub(crate) calibration: usize,
    /// Number of test items; all if absent.
    pub(crate) items: Option<usize>,
    /// The settings of the run, for the document.
    pub(crate) config: Value,
    /// Command line that repeats the run.
    pub(crate) reproduce: String,
    /// Folder for the pruned model.
    pub(crate) out: PathBuf,
    pub(crate) device: &'a Device,
    /// Ends the work early.
    pub(crate) stop: &'a AtomicBool,
}

impl PruningJob<'_> {
    /// Nothing if it was stopped; then no file is kept.
    pub(crate) fn run(self) -> Result<Option<Results>> {
        let mut clock = Clock::new();
        let base = BaseModel::open(self.model)?;
        let counts = Counts::new(base.config(), self.shares)?;
        let stored = LanguageModel::open(self.model)?;
        // A configuration that no file can express is refused before the work.
        stored.pruned_document(&base.config().pruned(counts.heads, counts.channels))?;
        let (training, test) = clock.time("data", || self.data(&base))?;
        let decoder = base.decoder(self.device, None)?;
        let batches = Batches::new(&test, 128, self.device)?;
        let judged =
            |decoder: &Decoder| Evaluation::new(decoder, None, batches.clone()).clean_in_detail();
        let before = clock.time("before", || judged(&decoder))?;
        let squares = clock.time("importance", || self.squares(&decoder, &training))?;
        if self.stopped() {
            return Ok(None);
        }
        let pruned = decoder.pruned(&kept(&decoder, &squares, counts))?;
        let after = clock.time("pruned", || judged(&pruned))?;
        if self.stopped() {
            return Ok(None);
        }
        export_pruned_model(&stored, pruned, &self.out, FloatType::F32)?;
        let comparison = Comparison {
            reproduce: self.reproduce,
            config: self.config,
            data: DataSummary {
                source: self.source.to_string(),
                train: training.items(),
                validation: 0,
                test: test.items(),
            },
            metric: test.metric(),
            methods: vec![row("before", before), row("pruned", after)],
            clock,
        };
        Ok(Some(comparison.into()))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Texts on which inputs are measured, and texts for judging.
    fn data(&self, base: &BaseModel) -> Result<(LanguageModelling, LanguageModelling)> {
        let of = |corpus, most: usize| -> Result<LanguageModelling> {
            Ok(base.task(&corpus, &self.texts)?.split_at(most).0)
        };
        let training = of(self.source.training_corpus(self.seed)?, self.calibration)?;
        let most = self.items.unwrap_or(usize::MAX);
        let test = of(self.source.test_corpus(self.seed)?, most)?;
        match self.items {
            Some(asked) if asked > test.items() => bail!(
                "--items {asked}: {} has {} test items: use fewer, or leave the option out",
                self.source,
                test.items()
            ),
            _ => Ok((training, test)),
        }
    }

    /// Sums of squares of the inputs of the last matrices of attention and of feed-forward layers.
    fn squares(
        &self,
        decoder: &Decoder,
        training: &LanguageModelling,
    ) -> Result<BTreeMap<String, Vec<f64>>> {
        let batches = Batches::new(training, BATCH, self.device)?;
        let matrices = last_matrices(decoder.config());
        let mut passed = Ok(());
        let squares = input_squares(decoder, &matrices, |decoder| {
            passed = batches.pass(decoder, &|| self.stop.load(Ordering::SeqCst));
        });
        passed?;
        Ok(squares)
    }
}

/// Number of heads of keys and values, and of channels, that every block keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    heads: usize,
    channels: usize,
}

impl Counts {
    fn new(config: &DecoderConfig, shares: Shares) -> Result<Self> {
        let left = |what: &str, share: f64, count: usize| -> Result<usize> {
            let removed = (share * count as f64).round() as usize;
            if share > 0.0 && count == 1 {
                bail!(
                    "--prune {what}={share}: every block has only one, which stays: leave it out"
                );
            }
            if share > 0.0 && (removed == 0 || removed == count) {
                bail!(
                    "--prune {what}={share} removes {} of {count}: a share from {:.2} to {:.2} removes some",
                    if removed == 0 { "none" } else { "all" },
                    (50.0 / count as f64).ceil() / 100.0,
                    // The share that would leave half a head removes this head too: a half rounds up.
                    (((count as f64 - 0.5) / count as f64 * 100.0).ceil() - 1.0) / 100.0,
                );
            }
            Ok(count - removed)
        };
        Ok(Self {
            heads: left("heads", shares.heads, config.key_value_heads)?,
            channels: left("mlp", shares.mlp, config.hidden_width)?,
        })
    }
}

fn output_of(layer: usize) -> String {
    format!("layers.{layer}.attention.output.weight")
}

fn down_of(layer: usize) -> String {
    format!("layers.{layer}.feed_forward.down.weight")
}

/// Paths of the last matrices of attention and feed-forward layers.
fn last_matrices(config: &DecoderConfig) -> BTreeSet<String> {
    let layers = 0..config.layers;
    layers
        .flat_map(|layer| [output_of(layer), down_of(layer)])
        .collect()
}

/// The heads and channels of `decoder` to keep: in every block as many as `counts` says, those that contribute most to its output.
///
/// The contribution of an input of the last matrix is `Σ x² · Σ w²`: the sum of the squares of the input (in `squares`) times that of its weights;
/// without `squares` it is `Σ w²`. A head of keys and values contributes the inputs of all heads of the query that use it.
///
/// # Source
/// Sun et al. 2024 (arXiv 2306.11695), equation 1, summed over the weights of each input.
fn kept(decoder: &Decoder, squares: &BTreeMap<String, Vec<f64>>, counts: Counts) -> Kept {
    let config = decoder.config();
    let weights = host_weights_at(decoder, &last_matrices(config));
    let added = |path: String| -> Vec<f64> {
        let weight = &weights[&path];
        let rows = weight.values.chunks(weight.shape[1].max(1));
        rows.enumerate()
            .map(|(input, row)| {
                let of_weights: f64 = row.iter().map(|w| f64::from(*w).powi(2)).sum();
                let of_input = squares.get(&path).map_or(1.0, |squares| squares[input]);
                of_weights * of_input
            })
            .collect()
    };
    let of_head = config.query_width() / config.key_value_heads;
    let heads = |layer: usize| -> Vec<f64> {
        let inputs = added(output_of(layer));
        let heads = inputs.chunks(of_head);
        heads.map(|head| head.iter().sum()).collect()
    };
    Kept {
        key_value_heads: (0..config.layers)
            .map(|layer| largest(&heads(layer), counts.heads))
            .collect(),
        channels: (0..config.layers)
            .map(|layer| largest(&added(down_of(layer)), counts.channels))
            .collect(),
    }
}

/// The indices of the `count` largest of `values`, in increasing order. Of equal values, the first are taken.
fn largest(values: &[f64], count: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
    places.truncate(count);
    places.sort_unstable();
    places
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;
    use crossburn_noise::change_host_weights;

    #[test]
    fn shares_are_read_and_refused() {
        let both: Shares = "heads=0.25,mlp=0.5".parse().unwrap();
        assert_eq!((both.heads, both.mlp), (0.25, 0.5));
        let one: Shares = "mlp=0.1".parse().unwrap();
        assert_eq!((one.heads, one.mlp), (0.0, 0.1));
        for bad in [
            "",
            "heads",
            "heads=1",
            "mlp=0",
            "mlp=nan",
            "heads=0.1,heads=0.2",
            "all=0.5",
        ] {
            assert!(bad.parse::<Shares>().is_err(), "{bad}");
        }
        let sizes: DecoderSizes = serde_json::from_str("{}").unwrap();
        let config = sizes.config().unwrap();
        let counts = |text: &str| Counts::new(&config, text.parse().unwrap());
        let found = counts("heads=0.25,mlp=0.5").unwrap();
        assert_eq!((found.heads, found.channels), (3, 88));
        let error = counts("heads=0.1").unwrap_err().to_string();
        assert_eq!(
            error,
            "--prune heads=0.1 removes none of 4: a share from 0.13 to 0.87 removes some"
        );
        assert!(
            counts("heads=0.9")
                .unwrap_err()
                .to_string()
                .contains("removes all of 4")
        );
    }

    #[test]
    fn the_shares_that_an_error_names_are_accepted() {
        let sizes: DecoderSizes = serde_json::from_str("{}").unwrap();
        for count in 2..=200 {
            let config = DecoderConfig {
                hidden_width: count,
                ..sizes.config().unwrap()
            };
            let counts =
                |share: &str| Counts::new(&config, format!("mlp={share}").parse().unwrap());
            let error = counts("0.001").unwrap_err().to_string();
            let (_, ends) = error.split_once("a share from ").unwrap();
            let ends = ends.strip_suffix(" removes some").unwrap();
            let (low, high) = ends.split_once(" to ").unwrap();
            for share in [low, high] {
                let left = counts(share).unwrap().channels;
                assert!(left > 0 && left < count, "{share} of {count}");
            }
        }
    }

    #[test]
    fn what_adds_most_stays() {
        let sizes =
            r#"{"width": 8, "heads": 4, "key_value_heads": 2, "layers": 1, "hidden_width": 4}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let decoder = initialize(sizes.init(&Device::flex()).unwrap(), 1);
        // The values of each row of the last matrices are its number plus one.
        let decoder = change_host_weights(
            decoder,
            &last_matrices(&sizes.config().unwrap()),
            |values, shape| {
                for (input, row) in values.chunks_mut(shape[1]).enumerate() {
                    row.fill((input + 1) as f32);
                }
            },
        );
        let counts = Counts {
            heads: 1,
            channels: 2,
        };
        let by_weights = kept(&decoder, &BTreeMap::new(), counts);
        assert_eq!(by_weights.key_value_heads, [vec![1]]);
        assert_eq!(by_weights.channels, [vec![2, 3]]);
        // Σ w² is 1, 4, 9, 16 for each output. With these inputs, contributions are 20, 4, 18, 16.
        let squares = [
            (
                output_of(0),
                [9.0, 9.0, 9.0, 9.0, 0.1, 0.1, 0.1, 0.1].to_vec(),
            ),
            (down_of(0), vec![20.0, 1.0, 2.0, 1.0]),
        ];
        let by_both = kept(&decoder, &squares.into(), counts);
        assert_eq!(by_both.key_value_heads, [vec![0]]);
        assert_eq!(by_both.channels, [vec![0, 2]]);
    }
}
