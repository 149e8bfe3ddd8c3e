//! Scores of all entries for many queries: matrix products, and the best of each.

use std::ops::Range;

use crossburn_kernels::matrix::{Matrix, multiply};
use rayon::prelude::*;

use super::entry::{Hit, Slot};
use super::integers::Integers;
use super::queries::QueryPart;
use super::top::Best;
use super::{EntryId, QuantizedQueries};
use crate::HardwareError;

/// Slots of one product: their numbers at 64 inputs fill half of a second cache.
const SLOTS: usize = 2048;
/// Queries of one product.
const QUERIES: usize = 64;
/// Shares of the slots, at most, for each thread.
const SHARES: usize = 2;
/// Sums of integers up to this are exact in 32 bits, in any order.
const EXACT: f32 = 16_777_216.0;

/// The stored numbers of all slots at one scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// `[slots, inputs]`.
    pub(super) numbers: Numbers<'a>,
    /// Numbers of a slot.
    pub(super) inputs: usize,
    /// The value of the integer 1.
    pub(super) unit: f32,
    /// Weight in the score.
    pub(super) weight: f32,
    /// The largest integer.
    pub(super) level: f32,
    /// Inputs of one array, whose sum is rounded to a whole step; `None` where a search does not compute with arrays.
    pub(super) array: Option<usize>,
}

/// Stored numbers in units of their integers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbers<'a> {
    /// The integers themselves.
    Codes(&'a [i8]),
    /// The numbers that cells hold.
    Held(&'a [f32]),
}

impl<'a> Numbers<'a> {
    /// The numbers at `places`. Integers are written to `memory` as numbers.
    fn at(self, places: Range<usize>, memory: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::Held(numbers) => &numbers[places],
            Self::Codes(codes) => {
                memory.clear();
                memory.extend(codes[places].iter().map(|code| f32::from(*code)));
                memory
            }
        }
    }
}

/// The `k` best entries for each query, the best first; fewer where scores are NaN.
pub(super) fn search(
    parts: &[Part<'_>],
    slots: &[Slot],
    queries: &QuantizedQueries,
    k: usize,
) -> Vec<Vec<Hit>> {
    let scales: Vec<Scale<'_>> = parts
        .iter()
        .zip(queries.parts())
        .map(|(part, query)| Scale::new(*part, query, queries.level()))
        .collect();
    let factors = Factors::new(parts.iter().map(|part| (part.weight, part.unit)), queries);
    match &scales[..] {
        // The sums of one product are the order; what they stand for is told at the end.
        [scale] if scale.is_one_product() => {
            let best = best_of_all(slots, queries.len(), k, |segment, block, memory, sums| {
                scale.product(0..scale.part.inputs, segment, block, memory, sums);
            });
            let in_units = |(query, best): (usize, Best<f32>)| {
                hits(best, |sum| factors.of(0, query) * f64::from(sum))
            };
            best.into_iter().enumerate().map(in_units).collect()
        }
        _ => {
            let best = best_of_all(slots, queries.len(), k, |segment, block, memory, sums| {
                sums.clear();
                sums.resize(segment.len() * block.len(), 0.0f64);
                for (scale, part) in scales.iter().enumerate() {
                    let integers = part.sums(segment.clone(), block.clone(), memory);
                    factors.add(scale, &integers, segment.len(), block.clone(), sums);
                }
            });
            best.into_iter()
                .map(|best| hits(best, |score| score))
                .collect()
        }
    }
}

/// The factor of an inner product of integers in the score, per scale and query: `w u_stored u_query / Σ w`.
pub(super) struct Factors(Vec<Vec<f64>>);

impl Factors {
    /// From weight and unit of the stored numbers of every scale.
    pub(super) fn new(
        scales: impl Iterator<Item = (f32, f32)> + Clone,
        queries: &QuantizedQueries,
    ) -> Self {
        let total: f64 = scales.clone().map(|(weight, _)| f64::from(weight)).sum();
        let of_scale = |((weight, unit), query): ((f32, f32), &QueryPart)| {
            let stored = f64::from(weight) / total * f64::from(unit);
            query
                .units
                .iter()
                .map(|unit| stored * f64::from(*unit))
                .collect()
        };
        Self(scales.zip(queries.parts()).map(of_scale).collect())
    }

    fn of(&self, scale: usize, query: usize) -> f64 {
        self.0[scale][query]
    }

    /// Adds what `integers`, `[queries, slots]`, of a scale count to `scores`.
    pub(super) fn add(
        &self,
        scale: usize,
        integers: &[f64],
        slots: usize,
        queries: Range<usize>,
        scores: &mut [f64],
    ) {
        let rows = scores
            .chunks_exact_mut(slots)
            .zip(integers.chunks_exact(slots));
        for (query, (scores, integers)) in queries.zip(rows) {
            let factor = self.of(scale, query);
            for (score, integer) in scores.iter_mut().zip(integers) {
                *score += factor * integer;
            }
        }
    }
}

/// One scale of stored numbers and queries.
struct Scale<'a> {
    part: Part<'a>,
    query: &'a QueryPart,
    /// Inputs whose sums of integers are exact in 32 bits.
    exact: usize,
}

impl<'a> Scale<'a> {
    fn new(part: Part<'a>, query: &'a QueryPart, level: f32) -> Self {
        let exact = (EXACT / (part.level * level)) as usize;
        Self {
            part,
            query,
            exact: exact.max(1),
        }
    }

    fn is_one_product(&self) -> bool {
        self.part.array.is_none() && self.part.inputs <= self.exact
    }

    /// `out = [queries, slots]`: the inner products over some inputs.
    fn product(
        &self,
        inputs: Range<usize>,
        slots: Range<usize>,
        queries: Range<usize>,
        memory: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) {
        let all = self.part.inputs;
        let applied = &self.query.codes[queries.start * all..queries.end * all];
        let held = self
            .part
            .numbers
            .at(slots.start * all..slots.end * all, memory);
        out.resize(queries.len() * slots.len(), 0.0);
        multiply(
            out,
            Matrix::new(applied, queries.len(), all).columns(inputs.start, inputs.len()),
            Matrix::new(held, slots.len(), all)
                .columns(inputs.start, inputs.len())
                .transposed(),
            false,
        );
    }

    /// The inner products over all inputs, exact for integers; of arrays, those that each delivers in whole steps.
    fn sums(&self, slots: Range<usize>, queries: Range<usize>, memory: &mut Vec<f32>) -> Vec<f64> {
        let mut sums = vec![0.0f64; slots.len() * queries.len()];
        let mut of_array = sums.clone();
        let mut products = Vec::new();
        let rows = self.part.array.unwrap_or(self.part.inputs);
        for first in (0..self.part.inputs).step_by(rows) {
            let array = first..self.part.inputs.min(first + rows);
            of_array.fill(0.0);
            for first in array.clone().step_by(self.exact) {
                let inputs = first..array.end.min(first + self.exact);
                self.product(
                    inputs,
                    slots.clone(),
                    queries.clone(),
                    memory,
                    &mut products,
                );
                for (sum, product) in of_array.iter_mut().zip(&products) {
                    *sum += f64::from(*product);
                }
            }
            if self.part.array.is_some() {
                let round = |sum: &mut f64| *sum = sum.round_ties_even();
                of_array.iter_mut().for_each(round);
            }
            for (sum, of_array) in sums.iter_mut().zip(&of_array) {
                *sum += of_array;
            }
        }
        sums
    }
}

/// The best of all slots per query. `fill` writes the scores `[queries, slots]` of some slots and queries; it is given
/// memory of its own. What is found does not depend on how slots are shared among threads.
fn best_of_all<T: Copy + PartialOrd + Send>(
    slots: &[Slot],
    queries: usize,
    k: usize,
    fill: impl Fn(Range<usize>, Range<usize>, &mut Vec<f32>, &mut Vec<T>) + Sync,
) -> Vec<Best<T>> {
    let none = || vec![Best::<T>::new(k); queries];
    let offer = |(mut best, mut memory, mut scores): (Vec<Best<T>>, Vec<f32>, Vec<T>),
                 segment: usize| {
        let segment = segment * SLOTS..slots.len().min((segment + 1) * SLOTS);
        for first in (0..queries).step_by(QUERIES) {
            let block = first..queries.min(first + QUERIES);
            fill(segment.clone(), block.clone(), &mut memory, &mut scores);
            for (best, scores) in best[block]
                .iter_mut()
                .zip(scores.chunks_exact(segment.len()))
            {
                best.offer(scores, &slots[segment.clone()]);
            }
        }
        (best, memory, scores)
    };
    let segments = slots.len().div_ceil(SLOTS);
    // Few shares: each finds its own first best, which takes longer than to pass over the others.
    let least = segments.div_ceil(SHARES * rayon::current_num_threads());
    (0..segments)
        .into_par_iter()
        .with_min_len(least)
        .fold(|| (none(), Vec::new(), Vec::new()), offer)
        .map(|(best, ..)| best)
        .reduce(none, |one, other| {
            let pairs = one.into_iter().zip(other);
            pairs.map(|(one, other)| one.merge(other)).collect()
        })
}

/// The best of one query as hits.
pub(super) fn hits<T: Copy + PartialOrd>(best: Best<T>, score: impl Fn(T) -> f64) -> Vec<Hit> {
    let hit = |(found, entry): (T, EntryId)| Hit {
        entry,
        score: score(found) as f32,
    };
    best.into_sorted().into_iter().map(hit).collect()
}

/// Refuses queries that were made for another setting.
pub(super) fn require_same(
    pools: impl Iterator<Item = usize>,
    queries: &QuantizedQueries,
    dimension: usize,
    applied: Integers,
) -> Result<(), HardwareError> {
    if queries.dimension() != dimension {
        return Err(HardwareError::conflict(
            format!(
                "queries of {} numbers and a store of {dimension}",
                queries.dimension()
            ),
            "use the encoder that the store was made with",
        ));
    }
    let other = if !pools.eq(queries.parts().iter().map(|part| part.pool)) {
        "queries of other scales than those of the store"
    } else if queries.level() != applied.level() {
        "queries of other input bits than those of the store"
    } else {
        return Ok(());
    };
    Err(HardwareError::conflict(
        other,
        "quantize the queries with the setting of the store",
    ))
}

/// Refuses to look for more entries than there are, or for none.
pub(super) fn require_k(k: usize, entries: usize) -> Result<(), HardwareError> {
    if (1..=entries).contains(&k) {
        return Ok(());
    }
    match entries {
        0 => Err(HardwareError::conflict(
            "a search of an empty store",
            "store some vectors first",
        )),
        _ => Err(HardwareError::limit(
            "k",
            k,
            format!("1..={entries}, the entries of the store"),
            "ask for fewer",
        )),
    }
}

/// Refuses searches in which scores were no numbers.
pub(super) fn require_found(found: &[Vec<Hit>], k: usize) -> Result<(), HardwareError> {
    let bad = |hits: &&Vec<Hit>| hits.len() < k || hits.iter().any(|hit| !hit.score.is_finite());
    match found.iter().position(|hits| bad(&hits)) {
        None => Ok(()),
        Some(query) => Err(HardwareError::conflict(
            format!("scores of query {query} that are not finite"),
            "look at the full scale of the store and at what the device gives for its targets",
        )),
    }
}
