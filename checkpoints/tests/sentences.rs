//! Sentence embeddings of a pretrained encoder, in halves and two files, against 64-bit floats.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use crossburn_checkpoints::gguf::EncodedFormat;
use crossburn_checkpoints::{HeldAs, Loaded, ModelFolder, SentenceEncoder};
use crossburn_models::encoder::Encoder;
use golden::folder;
use half::f16;
use safetensors::{Dtype, SafeTensors};

const SENTENCES: [&str; 5] = [
    "A man is playing a guitar.",
    "Someone plays an instrument.",
    "The stock market fell sharply on Monday.",
    "Shares dropped at the start of the week.",
    "Photosynthesis turns light into sugar.",
];

/// Matrices by name, as `[rows, columns]`; of vectors one row.
type Weights = BTreeMap<String, (usize, Vec<f64>)>;

fn read(folder: &Path) -> Weights {
    let mut weights = BTreeMap::new();
    for file in [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ] {
        let bytes = std::fs::read(folder.join(file)).unwrap();
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            if view.dtype() == Dtype::F16 {
                let values = view.data().as_chunks::<2>().0.iter();
                let values = values
                    .map(|bytes| f16::from_le_bytes(*bytes).to_f64())
                    .collect();
                let columns = *view.shape().last().unwrap();
                weights.insert(name.to_string(), (columns, values));
            }
        }
    }
    weights
}

/// The network as its paper writes it, in 64-bit floats, one place after the other.
struct Oracle(Weights);

impl Oracle {
    fn row(&self, name: &str, index: usize) -> &[f64] {
        let (columns, values) = &self.0[name];
        &values[index * columns..(index + 1) * columns]
    }

    fn linear(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let bias = self.row(&format!("{name}.bias"), 0);
        let name = format!("{name}.weight");
        let one = |row: &Vec<f64>| {
            let outputs = bias.iter().enumerate();
            outputs
                .map(|(o, bias)| bias + dot(self.row(&name, o), row))
                .collect()
        };
        rows.iter().map(one).collect()
    }

    fn norm(&self, name: &str, rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let (weight, bias) = (
            self.row(&format!("{name}.weight"), 0),
            self.row(&format!("{name}.bias"), 0),
        );
        let one = |row: Vec<f64>| {
            let count = row.len() as f64;
            let mean = row.iter().sum::<f64>() / count;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let scale = 1.0 / (variance + 1e-12).sqrt();
            let values = row.iter().enumerate();
            values
                .map(|(i, x)| weight[i] * (x - mean) * scale + bias[i])
                .collect()
        };
        rows.into_iter().map(one).collect()
    }

    fn attend(&self, name: &str, rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let [query, key, value] =
            ["query", "key", "value"].map(|part| self.linear(&format!("{name}.self.{part}"), rows));
        let width = 32;
        let mut result = vec![vec![0.0; 384]; rows.len()];
        for first in (0..384).step_by(width) {
            let head = first..first + width;
            for (at, query) in query.iter().enumerate() {
                let scores = key.iter().map(|key| {
                    dot(&query[head.clone()], &key[head.clone()]) / (width as f64).sqrt()
                });
                let powers: Vec<f64> = scores.map(f64::exp).collect();
                let sum: f64 = powers.iter().sum();
                for (power, value) in powers.iter().zip(&value) {
                    for i in head.clone() {
                        result[at][i] += power / sum * value[i];
                    }
                }
            }
        }
        self.linear(&format!("{name}.output.dense"), &result)
    }

    fn embed(&self, tokens: &[u32]) -> Vec<f64> {
        let tables = ["word", "position", "token_type"]
            .map(|part| format!("embeddings.{part}_embeddings.weight"));
        let embedded = tokens.iter().enumerate().map(|(place, token)| {
            let rows = [*token as usize, place, 0];
            (0..384)
                .map(|i| (0..3).map(|t| self.row(&tables[t], rows[t])[i]).sum())
                .collect()
        });
        let mut x = self.norm("embeddings.LayerNorm", embedded.collect());
        for layer in 0..6 {
            let name = format!("encoder.layer.{layer}");
            let attended = self.attend(&format!("{name}.attention"), &x);
            x = self.norm(
                &format!("{name}.attention.output.LayerNorm"),
                add(x, attended),
            );
            let mut hidden = self.linear(&format!("{name}.intermediate.dense"), &x);
            for value in hidden.iter_mut().flatten() {
                *value *= 0.5 * (1.0 + libm::erf(*value / std::f64::consts::SQRT_2));
            }
            let forward = self.linear(&format!("{name}.output.dense"), &hidden);
            x = self.norm(&format!("{name}.output.LayerNorm"), add(x, forward));
        }
        let mean: Vec<f64> = (0..384)
            .map(|i| x.iter().map(|row| row[i]).sum::<f64>())
            .collect();
        let length = dot(&mean, &mean).sqrt();
        mean.iter().map(|value| value / length).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(mut a: Vec<Vec<f64>>, b: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    for (a, b) in a.iter_mut().flatten().zip(b.into_iter().flatten()) {
        *a += b;
    }
    a
}

#[test]
fn cosines_are_those_of_64_bit_floats() {
    let Some(path) = folder("embed-all-minilm-l6-v2") else {
        return;
    };
    let model = ModelFolder::open(&path).unwrap();
    let encoder = model.encoder(&Device::flex()).unwrap();
    assert_eq!(encoder.unused, Vec::<String>::new());
    let tokenizer = model.tokenizer(encoder.module.config().vocabulary).unwrap();
    let texts: Vec<Vec<u32>> = SENTENCES
        .map(|text| tokenizer.encode(text, true).unwrap())
        .into();
    // [CLS] a man is playing a guitar . [SEP]
    assert_eq!(
        texts[0],
        [101, 1037, 2158, 2003, 2652, 1037, 2858, 1012, 102]
    );
    let vectors = encoder.module.embed(&texts).unwrap();
    let cosines = vectors.clone().matmul(vectors.clone().transpose());
    let cosines = cosines.into_data().try_to_vec::<f32>().unwrap();

    let oracle = Oracle(read(&path));
    let expected: Vec<Vec<f64>> = texts.iter().map(|text| oracle.embed(text)).collect();
    let mut largest = 0.0f64;
    for (a, row) in cosines.chunks(5).enumerate() {
        for (b, cosine) in row.iter().enumerate() {
            largest = largest.max((f64::from(*cosine) - dot(&expected[a], &expected[b])).abs());
        }
    }
    eprintln!("cosines differ by at most {largest:e}");
    // Sums of 384 values of size one in 32-bit floats, through six blocks.
    assert!(largest < 1e-5, "{largest}");
    // What belongs together is closer than what does not.
    assert!(cosines[1] > 0.5 && cosines[2 * 5 + 3] > 0.5 && cosines[2] < 0.2);

    // In eight bits a text has nearly the same vector.
    let held = HeldAs::Encoded(EncodedFormat::Q8_0);
    let eight = model.held_encoder(&Device::flex(), held).unwrap();
    let bytes = |of: &Loaded<Encoder>| of.bytes.values().map(|(_, bytes)| bytes).sum::<usize>();
    assert!(3 * bytes(&eight) < bytes(&encoder));
    let products = eight.module.embed(&texts).unwrap() * vectors.clone();
    let nearest = products.sum_dim(1).min().into_scalar::<f32>();
    assert!(nearest > 0.99, "{nearest}");

    // Alone and beside others, a text has the same vector.
    let alone = encoder.module.embed(&texts[1..2]).unwrap();
    let difference = (alone - vectors.narrow(0, 1, 1))
        .abs()
        .max()
        .into_scalar::<f32>();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn texts_have_their_vectors_in_any_number_and_long_ones_are_cut() {
    let Some(path) = folder("embed-all-minilm-l6-v2") else {
        return;
    };
    let encoder = SentenceEncoder::open(Some(&path), &Device::flex()).unwrap();
    // More than pass through the network at a time, the last of them alone.
    let texts: Vec<&str> = (0..SentenceEncoder::BATCH + 1)
        .map(|number| SENTENCES[number % SENTENCES.len()])
        .collect();
    let vectors = encoder.embed(&texts).unwrap();
    assert_eq!(vectors.len(), texts.len());
    let difference = |a: &[f32], b: &[f32]| {
        assert_eq!((a.len(), b.len()), (encoder.dimension(), 384));
        a.iter()
            .zip(b)
            .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()))
    };
    for (text, vector) in texts.iter().zip(&vectors).skip(SentenceEncoder::BATCH - 4) {
        let alone = encoder.embed(&[text]).unwrap();
        assert!(difference(&alone[0], vector) < 1e-5);
    }
    // Beyond the last place, words do not count; before it, they do.
    let ends = |words: usize| {
        let text = |last: &str| format!("{}{last}", "guitar ".repeat(words));
        let found = encoder.embed(&[text("market"), text("leaves")]).unwrap();
        difference(&found[0], &found[1])
    };
    assert!(ends(600) < 1e-6);
    assert!(ends(20) > 1e-3);
}
