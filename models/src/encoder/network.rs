//! The encoder: tokens to vectors.

use burn::module::Module;
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_kernels::embedding;

use super::{EncoderBlock, EncoderConfig};
use crate::Network;
use crate::decoder::{DecoderError, Norm};

/// A transformer that reads in both directions.
///
/// Parameters are named after what they do: `embedding.weight`, `layers.0.query.weight`, `layers.0.up.bias`.
#[derive(Module, Debug)]
pub struct Encoder {
    embedding: Embedding,
    places: Embedding,
    segments: Embedding,
    norm: Norm,
    layers: Vec<EncoderBlock>,
    #[module(skip)]
    config: EncoderConfig,
}

impl EncoderConfig {
    /// An encoder with random weights on `device`, which are made when they are first used.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn init(&self, device: &Device) -> Result<Encoder, DecoderError> {
        self.check()?;
        let embedding = |count: usize| EmbeddingConfig::new(count, self.width).init(device);
        Ok(Encoder {
            embedding: embedding(self.vocabulary),
            places: embedding(self.max_positions),
            segments: embedding(self.segments),
            norm: self.norm.init(self.width, device),
            layers: (0..self.layers)
                .map(|_| EncoderBlock::new(self, device))
                .collect(),
            config: self.clone(),
        })
    }
}

impl Network for Encoder {}

impl Encoder {
    /// The configuration of this encoder.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// The vector of every token. `lengths` are those of the texts; what stands after is not seen.
    ///
    /// # Shapes
    /// `[batch, places] → [batch, places, width]`.
    ///
    /// # Panics
    /// For a token outside the vocabulary, or more places than the encoder has.
    pub fn forward(&self, tokens: Tensor<2, Int>, lengths: &[usize]) -> Tensor<3> {
        let [batch, places] = tokens.dims();
        let device = tokens.device();
        let along = Tensor::<1, Int>::arange(0..places as i64, &device).unsqueeze::<2>();
        let zeros = Tensor::<2, Int>::zeros([1, 1], &device);
        let x = embedding(&self.embedding, tokens)
            + embedding(&self.places, along)
            + embedding(&self.segments, zeros);
        let mut x = self.norm.forward(x);
        let full = lengths.iter().all(|length| *length == places);
        let bias = (!full).then(|| {
            let values: Vec<f32> = lengths
                .iter()
                .flat_map(|length| {
                    (0..places).map(move |at| if at < *length { 0.0 } else { -1e30 })
                })
                .collect();
            Tensor::<4>::from_data(TensorData::new(values, [batch, 1, 1, places]), &device)
        });
        for block in &self.layers {
            x = block.forward(x, bias.clone());
        }
        x
    }

    /// One vector of length 1 for each text: the mean of its tokens' vectors, scaled.
    ///
    /// # Shapes
    /// `[texts, width]`.
    ///
    /// # Errors
    /// [`DecoderError::Empty`] for no text or one without a token, [`DecoderError::Token`] and [`DecoderError::TooLong`].
    pub fn embed(&self, texts: &[Vec<u32>]) -> Result<Tensor<2>, DecoderError> {
        for text in texts {
            self.check_tokens(text)?;
        }
        let Some(longest) = texts.iter().map(Vec::len).max() else {
            return Err(DecoderError::Empty);
        };
        let device = self.embedding.weight.lazy_device();
        let filled = texts.iter().flat_map(|text| {
            let tokens = text.iter().map(|token| i64::from(*token));
            tokens.chain(std::iter::repeat_n(0, longest - text.len()))
        });
        let tokens = TensorData::new(filled.collect::<Vec<i64>>(), [texts.len(), longest]);
        let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
        let vectors = self.forward(Tensor::from_data(tokens, &device), &lengths);
        let shares = lengths.iter().flat_map(|length| {
            let share = 1.0 / *length as f32;
            (0..longest).map(move |at| if at < *length { share } else { 0.0 })
        });
        let shares = TensorData::new(shares.collect::<Vec<f32>>(), [texts.len(), 1, longest]);
        let means = Tensor::<3>::from_data(shares, &device).matmul(vectors);
        let means = means.reshape([texts.len(), self.config.width]);
        let squares = (means.clone() * means.clone()).sum_dim(1);
        Ok(means / squares.sqrt().clamp_min(1e-12))
    }

    /// Refuses an empty text, a token outside the vocabulary, and more tokens than the encoder has places.
    ///
    /// # Errors
    /// [`DecoderError::Empty`], [`DecoderError::Token`], [`DecoderError::TooLong`].
    pub fn check_tokens(&self, tokens: &[u32]) -> Result<(), DecoderError> {
        let (vocabulary, positions) = (self.config.vocabulary, self.config.max_positions);
        if tokens.is_empty() {
            return Err(DecoderError::Empty);
        }
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return Err(DecoderError::Token {
                token: *token,
                vocabulary,
            });
        }
        let length = tokens.len();
        match length > positions {
            true => Err(DecoderError::TooLong { length, positions }),
            false => Ok(()),
        }
    }
}
