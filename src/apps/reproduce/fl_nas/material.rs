//! The items, the space of networks, and the networks for comparison.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crossburn_models::nas::{
    Block, CandidateLayer, CandidateNorm, CandidatePool, ConvolutionalCandidate,
};
use crossburn_training::data::DataSource;
use crossburn_training::search::ScoreConfig;
use serde_json::{Value, json};

use super::super::Extent;
use super::arms::Goal;
use crate::apps::search::{JudgedOn, SpaceFile, TrainedAs};
use crate::apps::study;

/// Added to the seed of a search, so that its choice is judged on other procedural items.
const AFRESH: u64 = 1 << 32;
/// Most weights of a design: the memory of the device.
const MOST_WEIGHTS: f64 = 60_000.0;

/// A network of the literature, scaled to small inputs.
pub(super) struct Baseline {
    pub(super) name: &'static str,
    block: Block,
    kernel: usize,
    channels: &'static [usize],
}

/// Three stages of two residual blocks; and depthwise-separable layers of rising width. Both have batch norms and strides.
///
/// # Source
/// He et al., CVPR 2016, with the widths of its CIFAR-10 networks, and Howard et al., arXiv 1704.04861, scaled to inputs of 32 × 32 pixels.
const OF_PICTURES: [Baseline; 2] = [
    Baseline {
        name: "ResNet-like",
        block: Block::Residual,
        kernel: 3,
        channels: &[16, 16, 32, 32, 64, 64],
    },
    Baseline {
        name: "MobileNet-like",
        block: Block::DepthwiseSeparable,
        kernel: 3,
        channels: &[32, 64, 128, 128, 256, 256],
    },
];

/// The same for rows of a table, where each value is a channel of one pixel.
const OF_ROWS: [Baseline; 2] = [
    Baseline {
        name: "residual rows",
        block: Block::Residual,
        kernel: 1,
        channels: &[64, 64, 64, 64],
    },
    Baseline {
        name: "wide rows",
        block: Block::Conv,
        kernel: 1,
        channels: &[256, 256],
    },
];

impl Baseline {
    /// The network, with the inputs, outputs and bits that `open` gives.
    pub(super) fn network(&self, open: &ConvolutionalCandidate) -> ConvolutionalCandidate {
        let layer = |channels: &usize| CandidateLayer {
            block: self.block,
            ..CandidateLayer::new(*channels, self.kernel)
        };
        ConvolutionalCandidate {
            layers: self.channels.iter().map(layer).collect(),
            norm: CandidateNorm::Batch,
            dropout: 0.0,
            pool: CandidatePool::Stride,
            ..open.clone()
        }
    }
}

/// Numbers of items and chips.
#[derive(Clone, Copy, Debug)]
struct Amounts {
    train: usize,
    validation: usize,
    /// Test items for the chosen networks.
    test: usize,
    /// Test items during a search, if items are procedural.
    searched: usize,
    chips: u64,
}

/// The items, the space, and scores.
pub(super) struct Material {
    file: SpaceFile,
    source: DataSource,
    amounts: Amounts,
}

impl Material {
    /// The space of small convolutional networks for pictures, or of dense networks for rows.
    ///
    /// # Errors
    /// If the experiment does not have the extent.
    pub(super) fn new(source: DataSource, extent: Extent) -> Result<Self> {
        let usual = match source.kind() {
            "skin-lesions" => Amounts {
                train: 900,
                validation: 100,
                test: 1200,
                searched: 800,
                chips: 5,
            },
            "adult" => Amounts {
                train: 8000,
                validation: 3000,
                test: 4500,
                searched: 0,
                chips: 5,
            },
            "ham10000" => Amounts {
                train: 5600,
                validation: 2000,
                test: 1450,
                searched: 0,
                chips: 5,
            },
            _ => bail!(
                "this paper's experiment is not defined on {source}: use skin-lesions, ham10000:DIR or adult:FILE"
            ),
        };
        let amounts = match extent {
            Extent::Full => bail!("this paper's experiment has one size: drop --full"),
            Extent::Usual => usual,
            Extent::Quick => {
                // Rare classes of small groups need all items for judging.
                let learned = (usual.train - usual.validation).div_ceil(4);
                Amounts {
                    train: usual.validation + learned,
                    chips: 2,
                    ..usual
                }
            }
        };
        let space = match rows(&source) {
            true => "adult",
            false => "skin-lesions",
        };
        let tried_out = extent == Extent::Quick;
        let file = SpaceFile::open(space, None)?.trained_on(source.clone(), tried_out)?;
        Ok(Self {
            file,
            source,
            amounts,
        })
    }

    /// The networks from the literature.
    pub(super) fn baselines(&self) -> &'static [Baseline] {
        match rows(&self.source) {
            true => &OF_ROWS,
            false => &OF_PICTURES,
        }
    }

    /// Whether items are procedural, so that there are always further ones.
    fn drawn(&self) -> bool {
        self.source.kind() == "skin-lesions"
    }

    /// The space for a search with this seed. With procedural items, a search has test items of its own. With other items, designs are judged on items that are
    /// held back from training.
    pub(super) fn searched(&self, seed: u64) -> Result<SpaceFile> {
        let Amounts {
            train,
            validation,
            chips,
            ..
        } = self.amounts;
        let (test, judged_on) = match self.drawn() {
            true => (self.amounts.searched, JudgedOn::Test),
            false => (self.amounts.test, JudgedOn::Validation),
        };
        self.file.clone().trained_as(TrainedAs {
            seed,
            train,
            validation,
            test,
            judged_on,
            chips,
        })
    }

    /// The same for the choice of a search, which is trained again and judged on items that the search has not seen.
    pub(super) fn chosen(&self, seed: u64) -> Result<SpaceFile> {
        let Amounts {
            train,
            validation,
            test,
            chips,
            ..
        } = self.amounts;
        self.file.clone().trained_as(TrainedAs {
            seed: seed.wrapping_add(AFRESH),
            train,
            validation,
            test,
            judged_on: JudgedOn::Test,
            chips,
        })
    }

    /// The score for a goal.
    pub(super) fn score(&self, goal: Goal) -> ScoreConfig {
        let dropped = match goal {
            Goal::All => return self.file.score.clone(),
            Goal::WithoutFairness => "unfairness",
            Goal::WithoutHardware => "weights",
        };
        match &self.file.score {
            ScoreConfig::Weighted { weights } => {
                let left = weights.iter().filter(|(name, _)| *name != dropped);
                let weights: BTreeMap<String, f64> =
                    left.map(|(name, weight)| (name.clone(), *weight)).collect();
                ScoreConfig::Weighted { weights }
            }
            other => other.clone(),
        }
    }

    /// The limits of designs, for a goal.
    pub(super) fn limits(&self, goal: Goal) -> Vec<(String, f64)> {
        match goal {
            Goal::All | Goal::WithoutFairness => vec![("weights".to_string(), MOST_WEIGHTS)],
            Goal::WithoutHardware => Vec::new(),
        }
    }

    /// The settings that the numbers depend on, besides the seeds.
    pub(super) fn config(&self) -> Result<Value> {
        Ok(json!({
            "space": study::json(&self.searched(0)?)?,
            "chosen": study::json(&self.chosen(0)?)?,
            "limits": self.limits(Goal::All),
        }))
    }

    /// The source of the items, in words.
    pub(super) fn words(&self) -> String {
        let Amounts {
            train,
            validation,
            test,
            ..
        } = self.amounts;
        let searched = match self.drawn() {
            true => format!(
                "searches are judged on {} other test items of the same seed",
                self.amounts.searched
            ),
            false => "searches are judged on the held-back items".to_string(),
        };
        format!(
            "{}: {train} training items, {validation} of them held back; networks that were chosen are trained anew and judged on {test} test items, {searched}",
            self.source
        )
    }
}

/// Whether the items are rows of a table.
fn rows(source: &DataSource) -> bool {
    source.kind() == "adult"
}
