//! Finding documents by inner products of stored vectors: a head on a sentence encoder learns vectors that survive the cells.
//!
//! | file | question |
//! |---|---|
//! | `config.rs` | what is stored and asked, and how is it learned? |
//! | `documents.rs` | which vectors does the encoder give of documents, queries and negatives? |
//! | `stored.rs` | what does a chip of a training step hold? |
//! | `triplet.rs` | what is learned? |
//! | `ranks.rs` | what is a head judged by? |
//! | `parts.rs` | which documents are learned from and judged on? |

mod config;
mod documents;
mod parts;
mod ranks;
mod stored;
#[cfg(test)]
mod tests;
mod triplet;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_checkpoints::SentenceEncoder;
use crossburn_hardware::WeightBits;
use crossburn_models::Embedder;
use crossburn_noise::{ChipSeed, Metric, Philox, path_hash};

pub use config::{Distance, Queries, RetrievalConfig, Triplets};
pub(crate) use parts::Retrievals;
pub use ranks::Ranks;

use self::documents::{Documents, NEGATIVES};
use self::stored::{Stored, StoredNoise, stored};
use self::triplet::{Contrasted, triplet_loss};
use super::unit::unit;
use super::{Batch, Learn, Moment, RaisedLoss, Role, Task};
use crate::TrainingError;
use crate::data::Passage;
use crate::weight_gradients::values;

/// What documents are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To learn from, as triplets.
    Learn,
    /// To choose an epoch by. They are stored with the deviation of one chip.
    Choose,
    /// To judge a head by. They are stored without deviation.
    Judge,
}

/// Documents with a query for each. A head learns from triplets of them. It is judged by the share of queries that find their document among
/// the first k of all documents of its part.
///
/// After the head, vectors of queries and documents have length 1. Documents are rounded to `bits` on one scale. In training they also deviate,
/// by the noise of the task, and the documents of a batch are its positives.
///
/// # Source
/// Qin et al., "Robust implementation of retrieval-augmented generation on edge-based computing-in-memory architectures" (RoCR), ICCAD
/// 2024 (arXiv 2405.04700).
#[derive(Clone, Debug)]
pub struct Retrieval {
    documents: Arc<Documents>,
    range: Range<usize>,
    config: Arc<RetrievalConfig>,
    /// Width of a stored number.
    bits: WeightBits,
    seed: u64,
    purpose: Purpose,
}

/// Queries and documents on a device.
#[derive(Clone, Debug)]
pub struct Searched {
    /// Vectors of the encoder: `[items, width]`.
    queries: Tensor<2>,
    /// What is stored, which a cut batch keeps whole: `[documents, width]`.
    documents: Tensor<2>,
    /// Which document answers each query.
    targets: Vec<usize>,
    /// What should lie farther from each query: `[items, width]`; the hardest document where absent.
    negatives: Option<Tensor<2>>,
    noise: Option<StoredNoise>,
}

impl Batch for Searched {
    fn items(&self) -> usize {
        self.targets.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        Self {
            queries: self.queries.cut(range.clone()),
            documents: self.documents.clone(),
            negatives: self.negatives.as_ref().map(|all| all.cut(range.clone())),
            targets: self.targets[range].to_vec(),
            noise: self.noise,
        }
    }

    fn tracked(&self) -> Self {
        Self {
            queries: self.queries.tracked(),
            documents: self.documents.tracked(),
            negatives: self.negatives.as_ref().map(Batch::tracked),
            targets: self.targets.clone(),
            noise: self.noise,
        }
    }
}

/// What a head makes of a batch.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// `[items, numbers]`.
    queries: Tensor<2>,
    /// Documents, and after them negatives: `[documents + negatives, numbers]`.
    stored: Stored,
}

impl Retrieval {
    /// The documents `passages`, whose vectors `encoder`, that of `config`, makes; `seed` draws the words that queries lack and other titles.
    ///
    /// # Errors
    /// Those of the encoder, a passage that is no document, two documents with one text, and a document to learn from without another one as
    /// the negative.
    pub fn new(
        passages: &[Passage],
        config: &RetrievalConfig,
        encoder: &SentenceEncoder,
        (seed, role): (u64, Role),
    ) -> Result<Self, TrainingError> {
        config.check()?;
        let learned = role == Role::Learn;
        let documents = Documents::new(passages, config, encoder, (seed, learned))?;
        Ok(Self {
            range: 0..documents.len(),
            documents: Arc::new(documents),
            bits: WeightBits::new(config.bits)?,
            config: Arc::new(config.clone()),
            seed,
            purpose: match role {
                Role::Learn => Purpose::Learn,
                Role::Judge => Purpose::Judge,
            },
        })
    }

    /// The same documents, learned and judged by `config`.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for another encoder or other queries, and for triplets whose negatives these documents lack.
    pub fn learned_by(&self, config: &RetrievalConfig) -> Result<Self, TrainingError> {
        config.check()?;
        let own = &self.config;
        let same = own.encoder == config.encoder && own.queries == config.queries;
        if !same || own.triplets != config.triplets && config.triplets == Triplets::Labels {
            return Err(TrainingError::setting(
                "task",
                "another encoder, queries or labels",
                "those that the documents were read with",
            ));
        }
        Ok(Self {
            bits: WeightBits::new(config.bits)?,
            config: Arc::new(config.clone()),
            ..self.clone()
        })
    }

    /// What `network` makes of the queries and of the documents, each of length 1, row after row: what is asked of a store and put into it.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`].
    pub fn embedded<E: Embedder>(
        &self,
        network: &E,
        device: &Device,
    ) -> Result<[Vec<f32>; 2], TrainingError> {
        let Documents { stored, asked, .. } = &*self.documents;
        let of = |rows: &[f32]| -> Result<Vec<f32>, TrainingError> {
            let rows = self.documents.gather(rows, self.range.clone());
            let found = unit(network.embed(self.tensor(rows, device)));
            let [_, width] = found.dims();
            let found = values(found)?;
            super::require_finite(&found, width)?;
            Ok(found)
        };
        Ok([of(asked)?, of(stored)?])
    }

    fn tensor(&self, rows: Vec<f32>, device: &Device) -> Tensor<2> {
        let width = self.documents.width;
        let count = rows.len() / width;
        Tensor::from_data(TensorData::new(rows, [count, width]), device)
    }

    fn rows<'a>(&self, items: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let start = self.range.start;
        items.iter().map(move |item| start + item)
    }

    /// The vectors `rows`, of each of which the share of the configuration is dropped and the others are scaled up.
    fn dropped(&self, mut rows: Vec<f32>, items: &[usize], key: u64) -> Vec<f32> {
        let share = self.config.dropout;
        let scale = (1.0 / (1.0 - share)) as f32;
        self.masked_by(
            &mut rows,
            items,
            key ^ path_hash("dropout of positives"),
            |draw, x| match draw < share {
                true => 0.0,
                false => x * scale,
            },
        );
        rows
    }

    /// Changes every number of `rows` with a draw of its own from 0 to 1, which `key`, the item and the place decide.
    fn masked_by(
        &self,
        rows: &mut [f32],
        items: &[usize],
        key: u64,
        change: impl Fn(f64, f32) -> f32,
    ) {
        let mut draws = vec![0.0; self.documents.width];
        for (row, item) in rows.chunks_mut(self.documents.width).zip(items) {
            Philox::new(key, *item as u64).fill_uniform(&mut draws);
            for (value, draw) in row.iter_mut().zip(&draws) {
                *value = change(*draw, *value);
            }
        }
    }

    /// The triplets of some items, drawn at a moment of a training.
    fn triplets(&self, items: &[usize], moment: Moment, device: &Device) -> Searched {
        let documents = &*self.documents;
        let own = || documents.gather(&documents.stored, self.rows(items));
        let key = moment.key;
        let choice = |item: usize, below: usize| {
            let draws = Philox::new(key ^ path_hash("choice of negatives"), item as u64);
            draws.below(0, below.max(1) as u32) as usize
        };
        let (anchors, positives, negatives) = match (self.config.triplets, self.config.queries) {
            (Triplets::Data, _) => {
                let (mut masked, share) = (own(), self.config.masking);
                let key_of_masks = key ^ path_hash("masks of negatives");
                self.masked_by(&mut masked, items, key_of_masks, |draw, x| {
                    if draw < share { 0.0 } else { x }
                });
                (own(), self.dropped(own(), items, key), masked)
            }
            (Triplets::Labels, Queries::Corrupted) => {
                let which = |row: usize| row * NEGATIVES + choice(row, NEGATIVES);
                let rows = self.rows(items).map(which);
                let negatives = documents.gather(&documents.negatives, rows);
                (own(), self.dropped(own(), items, key), negatives)
            }
            (Triplets::Labels, Queries::Title) => {
                // Any other document: those after the own one move up.
                let which = |row: usize| {
                    let item = row - self.range.start;
                    let other = choice(row, self.items() - 1);
                    let other = if other >= item { other + 1 } else { other };
                    self.range.start + other.min(self.items() - 1)
                };
                let negatives = documents.gather(&documents.stored, self.rows(items).map(which));
                let asked = documents.gather(&documents.asked, self.rows(items));
                (self.dropped(asked, items, key), own(), negatives)
            }
        };
        let chip = ChipSeed::new(
            key ^ path_hash("deviation of stored vectors"),
            items.first().copied().unwrap_or_default() as u64,
        );
        Searched {
            queries: self.tensor(anchors, device),
            documents: self.tensor(positives, device),
            targets: (0..items.len()).collect(),
            negatives: Some(self.tensor(negatives, device)),
            noise: Some(StoredNoise {
                variation: self.config.noise_at(moment.progress),
                chip,
            }),
        }
    }
}

impl Task for Retrieval {
    type Batch = Searched;
    type Tally = Ranks;

    fn metric(&self) -> Metric {
        self.config.metric()
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self {
            range,
            ..self.clone()
        };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    /// What is held back is searched with the deviation of one chip.
    fn hold_back(&self, count: usize) -> (Self, Self) {
        let (learn, held_back) = self.split_at(count);
        let purpose = match self.purpose {
            Purpose::Learn => Purpose::Choose,
            other => other,
        };
        (
            learn,
            Self {
                purpose,
                ..held_back
            },
        )
    }

    fn digest(&self) -> String {
        self.documents.digest(self.range.clone())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Searched, TrainingError> {
        let documents = &*self.documents;
        let asked = documents.gather(&documents.asked, self.rows(items));
        let stored = documents.gather(&documents.stored, self.range.clone());
        let noise = (self.purpose == Purpose::Choose).then(|| StoredNoise {
            variation: self.config.noise,
            chip: ChipSeed::new(self.seed ^ path_hash("chips that choose an epoch"), 0),
        });
        Ok(Searched {
            queries: self.tensor(asked, device),
            documents: self.tensor(stored, device),
            targets: items.to_vec(),
            negatives: None,
            noise,
        })
    }

    fn fresh(
        &self,
        items: &[usize],
        moment: Moment,
        device: &Device,
    ) -> Result<Searched, TrainingError> {
        match self.purpose {
            Purpose::Learn => Ok(self.triplets(items, moment, device)),
            Purpose::Choose | Purpose::Judge => self.batch(items, device),
        }
    }

    fn value(&self, tally: &Ranks) -> Result<f64, TrainingError> {
        tally
            .recall(self.config.k)
            .ok_or_else(|| TrainingError::Undefined {
                metric: self.metric().name.into_owned(),
                why: "there is no query".to_string(),
            })
    }

    fn also(&self, tally: &Ranks) -> Vec<(Metric, f64)> {
        tally.also(self.config.k)
    }
}

impl Embedded {
    /// Inner products of all queries with all `documents`, row after row.
    fn scores(&self, documents: usize) -> Result<Vec<f32>, TrainingError> {
        let stored = self.stored.deviated.clone().narrow(0, 0, documents);
        values(self.queries.clone().matmul(stored.transpose()))
    }

    /// The document other than its own that each query likes best; its own where there is no other.
    fn hardest(&self, batch: &Searched) -> Vec<i64> {
        let count = batch.documents.items();
        let own = || batch.targets.iter().map(|target| *target as i64).collect();
        // A loss that cannot be read back is refused where it is read.
        let Ok(scores) = self.scores(count) else {
            return own();
        };
        let hardest = |(scores, target): (&[f32], &usize)| {
            let others = scores
                .iter()
                .enumerate()
                .filter(|(place, _)| place != target);
            let best = others.reduce(|best, other| if other.1 > best.1 { other } else { best });
            best.map_or(*target, |(place, _)| place) as i64
        };
        scores
            .chunks(count)
            .zip(&batch.targets)
            .map(hardest)
            .collect()
    }
}

impl<E: Embedder> Learn<E> for Retrieval {
    type Output = Embedded;
    type Surrogate = RaisedLoss;

    const COUNTS: bool = true;

    fn forward(&self, network: &E, batch: &Searched) -> Embedded {
        let rows = match &batch.negatives {
            Some(negatives) => Tensor::cat(vec![batch.documents.clone(), negatives.clone()], 0),
            None => batch.documents.clone(),
        };
        Embedded {
            queries: unit(network.embed(batch.queries.clone())),
            stored: stored(unit(network.embed(rows)), self.bits, batch.noise.as_ref()),
        }
    }

    /// The loss of triplets; where there are none, the negative is the document that a query likes best beside its own.
    fn loss(&self, output: Embedded, batch: &Searched) -> Tensor<1> {
        let device = output.queries.device();
        let count = batch.documents.items();
        let select = |places: Vec<i64>, of: &Tensor<2>| {
            let places = TensorData::new(places, [batch.items()]);
            of.clone()
                .select(0, Tensor::<1, Int>::from_data(places, &device))
        };
        let own = || batch.targets.iter().map(|target| *target as i64).collect();
        let negatives = match &batch.negatives {
            Some(_) => (count..count + batch.items())
                .map(|row| row as i64)
                .collect(),
            None => output.hardest(batch),
        };
        let of = Contrasted {
            positives: select(own(), &output.stored.deviated),
            negatives: select(negatives, &output.stored.deviated),
            undeviated: select(own(), &output.stored.undeviated),
            anchors: output.queries,
        };
        triplet_loss(&self.config, of)
    }

    fn judge(
        &self,
        output: Embedded,
        batch: &Searched,
        tallies: &mut [Ranks],
    ) -> Result<(), TrainingError> {
        let scores = output.scores(batch.documents.items())?;
        let ranks = Ranks::of(&scores, &batch.targets)?;
        for tally in tallies {
            super::Tally::merge(tally, ranks.clone());
        }
        Ok(())
    }

    fn hits(&self, output: Embedded, batch: &Searched) -> Result<u64, TrainingError> {
        let scores = output.scores(batch.documents.items())?;
        Ok(Ranks::of(&scores, &batch.targets)?.hits(self.config.k))
    }
}
