//! The sizes of an attention, and which keys a query sees.

use std::ops::Range;

use super::AttentionOptions;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Geometry {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) key_heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
    pub(super) value_width: usize,
    pub(super) scale: f64,
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
}

impl Geometry {
    /// # Panics
    /// If the shapes do not fit.
    pub(super) fn new(
        query: [usize; 4],
        key: [usize; 4],
        value: [usize; 4],
        options: &AttentionOptions,
    ) -> Self {
        let [batch, heads, queries, width] = query;
        let [_, key_heads, keys, _] = key;
        assert!(
            key == [batch, key_heads, keys, width]
                && value[..3] == key[..3]
                && (heads == 0 || key_heads > 0 && heads.is_multiple_of(key_heads)),
            "Attention: query {query:?}, key {key:?} and value {value:?} do not fit. Query and key share batch and \
             width, key and value share batch, heads and length, and the query's heads are a multiple of the key's."
        );
        Self {
            batch,
            heads,
            key_heads,
            queries,
            keys,
            width,
            value_width: value[3],
            scale: options.scale.unwrap_or(1.0 / (width as f64).sqrt()),
            causal: options.causal,
            window: options.window,
        }
    }

    /// Number of heads of the query that share a head of the key.
    pub(super) fn group(&self) -> usize {
        self.heads / self.key_heads.max(1)
    }

    /// The keys that a query sees. From one query to the next, neither end decreases.
    pub(super) fn visible(&self, query: usize) -> Range<usize> {
        // The query is at key `query + keys - queries`, which may be before the first key.
        let after = |distance: usize| {
            (query + self.keys)
                .saturating_add(distance)
                .saturating_sub(self.queries)
                .min(self.keys)
        };
        let reach = match (self.causal, self.window) {
            (true, Some(0)) => 0,
            (true, _) => 1,
            (false, Some(window)) => window,
            (false, None) => return 0..self.keys,
        };
        let end = after(reach);
        let start = self.window.map_or(0, |window| {
            (query + self.keys + 1)
                .saturating_sub(self.queries.saturating_add(window))
                .min(end)
        });
        start..end
    }
}
