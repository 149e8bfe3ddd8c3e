//! Keys and values of the tokens that were seen.

use burn::tensor::{Device, Tensor, TensorData};

/// The cache of attention: keys and values of earlier tokens, for every layer.
///
/// A layer with a sliding window keeps no more than the window. Keys and values grow by one copy a step: the attention of a
/// step reads them once in any case, in rows without gaps, which parts of a larger buffer would not be.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    pub(super) layers: Vec<Option<[Tensor<4>; 2]>>,
    length: usize,
    /// Places at the start of which every sequence has one, learned or not: a prefix or a prompt.
    shared: usize,
    /// For each sequence the places after `shared` that hold nothing; empty: none.
    padding: Vec<usize>,
}

impl Cache {
    /// A cache that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A cache for sequences of different lengths: before sequence `i` stand `padding[i]` tokens that nothing sees.
    pub fn padded(padding: Vec<usize>) -> Self {
        let padding = match padding.iter().all(|places| *places == 0) {
            true => Vec::new(),
            false => padding,
        };
        Self {
            padding,
            ..Self::default()
        }
    }

    /// Places that were seen, those of a learned prompt or prefix included.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Counts `places` more, which stand before the text of every sequence.
    pub(super) fn share(&mut self, places: usize) {
        self.shared += places;
    }

    /// Counts `places` more.
    pub(super) fn advance(&mut self, places: usize) {
        self.length += places;
    }

    /// Begins with keys and values that no token made, `[batch, key_value_heads, places, head_width]` each.
    pub(super) fn begin_with(&mut self, layers: Vec<[Tensor<4>; 2]>, places: usize) {
        self.layers = layers.into_iter().map(Some).collect();
        self.advance(places);
        self.share(places);
    }

    /// Keys and values of layer `layer` after those of new tokens.
    ///
    /// # Shapes
    /// `[batch, key_value_heads, places, head_width]` each.
    pub(super) fn append(
        &mut self,
        layer: usize,
        [key, value]: [Tensor<4>; 2],
        window: Option<usize>,
    ) -> [Tensor<4>; 2] {
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, None);
        }
        let both = match self.layers[layer].take() {
            Some([keys, values]) => [
                Tensor::cat(vec![keys, key], 2),
                Tensor::cat(vec![values, value], 2),
            ],
            None => [key, value],
        };
        let [_, _, places, _] = both[0].dims();
        // The next token sees itself and the `window - 1` before it.
        let kept = window.map_or(places, |window| (window - 1).min(places));
        self.layers[layer] = Some(match kept == places {
            true => both.clone(),
            false => both.clone().map(|rows| rows.narrow(2, places - kept, kept)),
        });
        both
    }

    /// A bias on the scores of the last `keys` places, which hides padding: `[batch, 1, 1, keys]`; `None` without padding.
    ///
    /// A number far below any score rather than minus infinity: a place of padding sees only padding.
    pub(super) fn bias(&self, seen: usize, keys: usize, device: &Device) -> Option<Tensor<4>> {
        if self.padding.is_empty() {
            return None;
        }
        let first = seen - keys;
        let values: Vec<f32> = self
            .padding
            .iter()
            .flat_map(|padding| {
                let hidden = self.shared..self.shared + padding;
                (first..seen).map(move |place| match hidden.contains(&place) {
                    true => -1e30,
                    false => 0.0,
                })
            })
            .collect();
        let shape = [self.padding.len(), 1, 1, keys];
        Some(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// The place of each of the next `count` tokens in its own sequence, row by row; `rows` rows.
    pub(super) fn places(&self, rows: usize, count: usize) -> Vec<i64> {
        (0..rows)
            .flat_map(|row| {
                let padding = self.padding.get(row).copied().unwrap_or(0);
                (self.length..self.length + count).map(move |place| match place < self.shared {
                    true => place,
                    false => place.saturating_sub(padding).max(self.shared),
                })
            })
            .map(|place| place as i64)
            .collect()
    }
}
