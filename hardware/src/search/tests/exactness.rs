//! Without noise a search is the inner product of integers.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::array::{Adc, AdcRange};

fn scheme() -> impl Strategy<Value = (Scheme, Option<u8>)> {
    prop_oneof![
        Just((Scheme::TwoSidedPair, None)),
        (0u8..=4).prop_map(|width| (Scheme::OneSidedPair, Some(width).filter(|w| *w > 0))),
        (0u8..=4).prop_map(|width| (Scheme::DigitalOffset, Some(width).filter(|w| *w > 0))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Zero noise is the inner product of integers, whatever the mapping, the arrays and the widths; the oracle are loops over
    /// 64-bit integers.
    #[test]
    fn a_chip_without_noise_finds_what_integers_find(
        (scheme, slice_bits) in scheme(), bits in 2u8..=8, query_bits in 2u8..=8, dimension in 1usize..40,
        count in 1usize..50, rows in 1usize..40, columns in 2usize..20, array: bool, bit_serial: bool,
        seed: u64, erased in prop::collection::vec(0u64..50, 0..6), k in 1usize..12,
    ) {
        let (level, query_level) = ((1i64 << (bits - 1)) - 1, (1i64 << (query_bits - 1)) - 1);
        let draws = ChipSeed::new(seed, 0);
        let integers = |path: &str, count: usize, level: i64| -> Vec<i64> {
            let mut draw = vec![0.0; count * dimension];
            draws.generator(path).fill_uniform(&mut draw);
            let mut all: Vec<i64> = draw.iter().map(|u| (u * (2 * level + 1) as f64).floor() as i64 - level).collect();
            // A full scale in every vector, so that all integers stand for themselves.
            all.iter_mut().step_by(dimension).for_each(|first| *first = level);
            all
        };
        let as_floats = |integers: &[i64]| integers.iter().map(|i| *i as f32).collect::<Vec<_>>();
        let mut stored = integers("stored", count, level);
        let mut config = SearchConfig { bits, ..SearchConfig::new(ideal()) };
        config.hardware.mapping.scheme = scheme;
        config.hardware.mapping.slice_bits = slice_bits;
        config.hardware.array.rows = rows;
        config.hardware.array.columns = columns;
        config.hardware.array.input.bits = query_bits;
        config.hardware.array.input.slice_bits = bit_serial.then_some(1);
        config.fidelity = if array { Fidelity::Array } else { Fidelity::Weight };
        let mut store = VectorStore::of(&as_floats(&stored), dimension, &config).unwrap();
        // Entry and row of `stored`: some are erased, and as many others take their slots.
        let mut live: BTreeMap<u64, usize> = (0..count as u64).map(|entry| (entry, entry as usize)).collect();
        for entry in erased {
            if live.remove(&entry).is_some() {
                store.erase(EntryId::new(entry)).unwrap();
            }
        }
        let later = integers("later", 2, level);
        for vector in later.chunks_exact(dimension) {
            let entry = store.append(&as_floats(vector)).unwrap();
            live.insert(entry.get(), stored.len() / dimension);
            stored.extend(vector);
        }
        let queries = integers("query", 5, query_level);
        let applied = QuantizedQueries::new(&as_floats(&queries), dimension, &config).unwrap();
        let k = k.min(live.len());
        let expected: Vec<Vec<u64>> = queries.chunks_exact(dimension).map(|query| {
            let product = |row: usize| -> i64 {
                let vector = &stored[row * dimension..(row + 1) * dimension];
                vector.iter().zip(query).map(|(a, b)| a * b).sum()
            };
            let mut ranked: Vec<(i64, u64)> = live.iter().map(|(entry, row)| (-product(*row), *entry)).collect();
            ranked.sort_unstable();
            ranked.truncate(k);
            ranked.into_iter().map(|(_, entry)| entry).collect()
        }).collect();
        prop_assert_eq!(&entries_of(&store.exact(&applied, k).unwrap()), &expected);
        let chip = store.program(CHIP).unwrap();
        prop_assert_eq!(&entries_of(&chip.search(&applied, k).unwrap()), &expected);
    }

    /// Scaled search against its definition in 64-bit floats.
    #[test]
    fn scaled_scores_are_weighted_products_of_averages(seed: u64, array: bool, count in 3usize..30) {
        const DIMENSION: usize = 8;
        let scales = [(1, 1.0f32), (2, 0.8), (4, 0.6)];
        let config = SearchConfig {
            scales: scales.map(|(pool, weight)| SearchScale { pool, weight }).to_vec(),
            fidelity: if array { Fidelity::Array } else { Fidelity::Weight },
            ..SearchConfig::new(ideal())
        };
        let draw = |path: &str, count: usize| {
            let mut draws = vec![0.0f32; count * DIMENSION];
            ChipSeed::new(seed, 1).generator(path).fill_normal(&mut draws);
            draws
        };
        let (stored, queries) = (draw("stored", count), draw("query", 4));
        let store = VectorStore::of(&stored, DIMENSION, &config).unwrap();
        let applied = QuantizedQueries::new(&queries, DIMENSION, &config).unwrap();
        let means = |vector: &[f32], pool: usize| -> Vec<f64> {
            vector.chunks(pool).map(|part| part.iter().map(|x| f64::from(*x)).sum::<f64>() / pool as f64).collect()
        };
        let exact = |query: &[f32], vector: &[f32]| -> f64 {
            let of_scale = |(pool, weight): (usize, f32)| {
                let products = means(query, pool).into_iter().zip(means(vector, pool));
                f64::from(weight) * products.map(|(q, v)| q * v).sum::<f64>()
            };
            scales.into_iter().map(of_scale).sum::<f64>() / 2.4
        };
        let chip = store.program(CHIP).unwrap();
        for found in [store.exact(&applied, count).unwrap(), chip.search(&applied, count).unwrap()] {
            for (query, hits) in queries.chunks(DIMENSION).zip(&found) {
                prop_assert_eq!(hits.len(), count);
                prop_assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
                for hit in hits {
                    let row = hit.entry.get() as usize * DIMENSION;
                    let expected = exact(query, &stored[row..row + DIMENSION]);
                    // Rounding errs by half a step of a 127th of numbers up to about 4 in each of 8 products, of either side.
                    prop_assert!((f64::from(hit.score) - expected).abs() < 8.0 * 2.0 * 4.0 * 4.0 / 254.0, "{} {expected}", hit.score);
                }
            }
        }
    }
}

/// Two vectors of full scale and a query that tells them apart by one unit of about `16129 dimension`: the second is better.
fn apart_by_one(dimension: usize, config: &SearchConfig) {
    let mut vectors = vec![127.0f32; 2 * dimension];
    vectors[0] = 126.0;
    let store = VectorStore::of(&vectors, dimension, config).unwrap();
    let mut query = vec![127.0f32; dimension];
    query[0] = 1.0;
    let query = QuantizedQueries::new(&query, dimension, config).unwrap();
    assert_eq!(entries_of(&store.exact(&query, 2).unwrap()), [[1, 0]]);
    let chip = store.program(CHIP).unwrap();
    assert_eq!(entries_of(&chip.search(&query, 2).unwrap()), [[1, 0]]);
}

#[test]
fn long_vectors_of_full_scale_are_exact_beyond_32_bits() {
    // 3,000 products of 127 · 127 are more than 2^24: sums in 32 bits would lose the last units.
    apart_by_one(3000, &SearchConfig::new(ideal()));
}

#[rstest]
#[case(Scheme::OneSidedPair, Some(2))]
#[case(Scheme::OneSidedPair, None)]
#[case(Scheme::TwoSidedPair, None)]
#[case(Scheme::DigitalOffset, Some(2))]
#[case(Scheme::DigitalOffset, None)]
fn full_arrays_are_exact_to_the_last_unit(#[case] scheme: Scheme, #[case] slice_bits: Option<u8>) {
    let mut config = SearchConfig::new(ideal());
    config.fidelity = Fidelity::Array;
    config.hardware.mapping.scheme = scheme;
    config.hardware.mapping.slice_bits = slice_bits;
    for rows in [64, 1024, 2048] {
        config.hardware.array.rows = rows;
        for dimension in [64, 300, 3000] {
            apart_by_one(dimension, &config);
        }
    }
}

#[rstest]
#[case(1)]
#[case(2)]
#[case(4)]
fn converters_of_every_step_are_exact(#[case] slice_bits: u8) {
    // Pairs, so that g_min cancels before the conversion, and one bit of the query at a time: every code is a sum of integers.
    let mut config = SearchConfig::new(ideal());
    config.fidelity = Fidelity::Array;
    config.hardware.mapping.slice_bits = Some(slice_bits);
    config.hardware.array.rows = 8;
    config.hardware.array.input.slice_bits = Some(1);
    config.hardware.array.adc = Some(Adc::new(13).with_range(AdcRange::Granular));
    for dimension in [8, 20] {
        apart_by_one(dimension, &config);
    }
}
