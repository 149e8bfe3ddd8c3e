//! Queries as the input converters apply them.

use super::SearchConfig;
use super::integers::{largest_magnitude, pooled};
use super::vector_store::require_vectors;
use crate::HardwareError;

/// Queries in integers, made once and shared by all chips of a population and by all stores of one setting.
///
/// Each query is scaled by its own largest magnitude, at each scale of the search.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedQueries {
    dimension: usize,
    count: usize,
    /// One per scale of the search.
    parts: Vec<QueryPart>,
    /// Largest integer.
    level: f32,
    /// The number of the first query among all that a chip reads.
    first_read: u64,
}

/// The queries at one scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueryPart {
    /// Averaged numbers.
    pub(super) pool: usize,
    /// Integers, `[queries, inputs]`.
    pub(super) codes: Vec<f32>,
    /// The value of the integer 1, per query.
    pub(super) units: Vec<f32>,
}

impl QuantizedQueries {
    /// The integers of `vectors`, `[queries, dimension]` row by row, for stores of `config`.
    ///
    /// # Errors
    /// Those of the setting, and [`HardwareError::Limit`] for another number of values, for values that are not finite, and for
    /// a query of zeros, which every entry would fit alike.
    pub fn new(
        vectors: &[f32],
        dimension: usize,
        config: &SearchConfig,
    ) -> Result<Self, HardwareError> {
        let plan = config.check(dimension)?;
        require_vectors("query", vectors, dimension)?;
        let count = vectors.len() / dimension;
        let level = plan.applied.level();
        let parts = config.scales.iter().map(|scale| {
            let mut codes = Vec::with_capacity(vectors.len() / scale.pool);
            let mut units = Vec::with_capacity(count);
            for query in vectors.chunks_exact(dimension) {
                let query = pooled(query, scale.pool);
                let largest = largest_magnitude(&query).max(f32::MIN_POSITIVE);
                codes.extend(query.iter().map(|x| plan.applied.nearest(*x, largest)));
                units.push(largest / level);
            }
            QueryPart {
                pool: scale.pool,
                codes,
                units,
            }
        });
        Ok(Self {
            dimension,
            count,
            parts: parts.collect(),
            level,
            first_read: 0,
        })
    }

    /// The same queries where the first is the read number `first` of a chip. Reads that scatter draw by their number: give
    /// batches of one run different numbers.
    pub fn numbered_from(self, first: u64) -> Self {
        Self {
            first_read: first,
            ..self
        }
    }

    /// Queries.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Numbers of a query.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The queries at each scale.
    pub(super) fn parts(&self) -> &[QueryPart] {
        &self.parts
    }

    /// The largest integer.
    pub(super) fn level(&self) -> f32 {
        self.level
    }

    /// The number of the first query among all reads.
    pub(super) fn first_read(&self) -> u64 {
        self.first_read
    }
}
