//! What a search costs in stores of other sizes: in arrays by the cost model, and on this processor as measured.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use crossburn_hardware::search::{QuantizedQueries, SearchConfig, VectorStore};
use crossburn_noise::ChipSeed;

use crate::apps::study::Clock;
use crate::report::{StoreSize, scan_of};

/// Numbers of vectors.
const SIZES: [usize; 5] = [100, 1000, 10_000, 100_000, 1_000_000];
/// Numbers that the largest scan reads at most: 64 MiB of them.
const MOST_NUMBERS: usize = 1 << 26;
/// Entries that a search gives.
const FOUND: usize = 10;

/// The cost of a search in stores like `store` of each of [`SIZES`]; none for a hardware without costs.
///
/// # Errors
/// What the cost model refuses.
pub(super) fn costs(store: &VectorStore) -> Result<Vec<StoreSize>> {
    if store.config().hardware.cost.is_none() {
        return Ok(Vec::new());
    }
    let of_size = |vectors| {
        let config = SearchConfig {
            capacity: Some(vectors),
            ..store.config().clone()
        };
        let cost = VectorStore::new(store.dimension(), &config)?.cost()?;
        Ok(StoreSize {
            vectors: vectors as u64,
            area: cost.area,
            query_energy: cost.query_energy,
            query_latency: cost.query_latency,
        })
    };
    SIZES.into_iter().map(of_size).collect()
}

/// Adds the time of an exact search on this processor to `clock` for each of `sizes` that is not too large: one query, after another one that
/// warms up. Vectors are drawn; what they say does not change the time. `stop` leaves out the sizes that are not measured yet.
///
/// # Errors
/// Those of the search.
pub(super) fn scan(
    store: &VectorStore,
    sizes: &[StoreSize],
    (clock, stop): (&mut Clock, &AtomicBool),
) -> Result<()> {
    let dimension = store.dimension();
    let config = SearchConfig {
        capacity: None,
        ..store.config().clone()
    };
    let mut block = vec![0.0; SIZES[0] * dimension];
    ChipSeed::new(0, 0)
        .generator("vectors of a scan")
        .fill_normal(&mut block);
    let query = QuantizedQueries::new(&block[..dimension], dimension, &config)?;
    let mut scanned = VectorStore::new(dimension, &config)?;
    for size in sizes {
        let vectors = size.vectors as usize;
        if vectors.saturating_mul(dimension) > MOST_NUMBERS {
            break;
        }
        while scanned.len() < vectors && !stop.load(Ordering::Relaxed) {
            scanned.extend(&block)?;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        black_box(scanned.exact(&query, FOUND)?);
        let found = clock.time(&scan_of(size.vectors), || scanned.exact(&query, FOUND));
        black_box(found?);
    }
    Ok(())
}
