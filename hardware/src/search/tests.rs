use std::collections::BTreeMap;

use crossburn_noise::{ChipSeed, Distribution, FourLevel, Variation};
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::array::{Adc, AdcRange};
use crate::deploy::{Fidelity, Hardware};
use crate::device::MemoryDevice;
use crate::{HardwareError, Scheme};

const CHIP: ChipSeed = ChipSeed::new(7, 17);

fn device(text: &str) -> MemoryDevice {
    MemoryDevice::from_toml(text).unwrap()
}

fn ideal() -> MemoryDevice {
    device("kind = \"ideal\"\ng_min = \"1 uS\"\ng_max = \"100 uS\"")
}

fn normals(path: &str, count: usize) -> Vec<f32> {
    let mut draws = vec![0.0; count];
    CHIP.generator(path).fill_normal(&mut draws);
    draws
}

fn entries_of(hits: &[Vec<Hit>]) -> Vec<Vec<u64>> {
    let entries = |hits: &Vec<Hit>| hits.iter().map(|hit| hit.entry.get()).collect();
    hits.iter().map(entries).collect()
}

/// Entries and bits of scores.
fn bits(hits: &[Vec<Hit>]) -> Vec<(u64, u32)> {
    let all = hits.iter().flatten();
    all.map(|hit| (hit.entry.get(), hit.score.to_bits()))
        .collect()
}

/// Standard deviation of values around 0.
fn spread(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
}

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

#[test]
fn long_vectors_of_full_scale_are_exact_beyond_32_bits() {
    // 3,000 products of 127 · 127 are more than 2^24: sums in 32 bits would lose the last units.
    const DIMENSION: usize = 3000;
    let config = SearchConfig::new(ideal());
    let mut vectors = vec![127.0f32; 2 * DIMENSION];
    // One less in the last product: the second vector by a hair behind the first.
    vectors[2 * DIMENSION - 1] = 126.0;
    vectors.reverse();
    let store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
    let mut query = vec![127.0f32; DIMENSION];
    query[0] = 1.0;
    let query = QuantizedQueries::new(&query, DIMENSION, &config).unwrap();
    let exact = store.exact(&query, 2).unwrap();
    assert_eq!(entries_of(&exact), [[1, 0]]);
    let chip = store.program(CHIP).unwrap();
    assert_eq!(entries_of(&chip.search(&query, 2).unwrap()), [[1, 0]]);
}

#[test]
fn cells_that_scatter_alike_move_numbers_as_the_pair_of_them_says() {
    // One pair of cells a number, σ = 2 % of g_max, a span of 99 %: a number scatters by √2 · 127 · 0.02 / 0.99.
    let cell =
        "kind = \"additive\"\ng_min = \"1000 uS\"\ng_max = \"100000 uS\"\nsigma_rel_gmax = 0.002";
    let mut config = SearchConfig::new(device(cell));
    config.hardware.mapping.slice_bits = None;
    const DIMENSION: usize = 50;
    let store = VectorStore::of(&normals("stored", 400 * DIMENSION), DIMENSION, &config).unwrap();
    let chip = store.program(CHIP).unwrap();
    let unit = f64::from(store.state().full_scales[0].unwrap()) / 127.0;
    let moved: Vec<f64> = store
        .entries()
        .flat_map(|entry| {
            let held = chip.read(entry).unwrap().into_iter();
            let ideal = store.rounded(entry).unwrap();
            let moved = held.zip(ideal).map(|(held, ideal)| f64::from(held - ideal));
            moved.collect::<Vec<_>>()
        })
        .collect();
    let expected = unit * 2f64.sqrt() * 127.0 * 0.002 / 0.99;
    // The standard deviation of 20,000 normals is known to 0.5 %; five of that.
    assert!(
        (spread(&moved) / expected - 1.0).abs() < 0.025,
        "{} {expected}",
        spread(&moved)
    );
    let mean = moved.iter().sum::<f64>() / moved.len() as f64;
    assert!(mean.abs() < 5.0 * expected / 20_000f64.sqrt());
}

#[test]
fn whole_numbers_deviate_by_their_level() {
    let (sigma, ratio) = (0.1, 4.0);
    let law = Distribution::FourLevel(FourLevel {
        sigma_rel_wmax: sigma,
        ratio,
    });
    let config = SearchConfig {
        variation: Some(Variation::from(law)),
        ..SearchConfig::new(ideal())
    };
    const DIMENSION: usize = 40;
    let vectors: Vec<f32> = (0..1000 * DIMENSION)
        .map(|i| [1.0, 0.5, -0.5, -0.1][i % 4])
        .collect();
    let store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
    let chip = store.program(CHIP).unwrap();
    let outer = sigma / (0.4 * ratio * ratio + 0.6f64).sqrt();
    for (number, expected) in [(0, outer), (1, 4.0 * outer), (2, 4.0 * outer), (3, outer)] {
        let moved = store.entries().flat_map(|entry| {
            let held = chip.read(entry).unwrap().into_iter();
            let pairs = held.zip(store.rounded(entry).unwrap());
            let moved = pairs.map(|(held, ideal)| f64::from(held - ideal));
            moved.skip(number).step_by(4).collect::<Vec<_>>()
        });
        // 10,000 normals: 0.7 %, five of that.
        let found = spread(&moved.collect::<Vec<_>>());
        assert!(
            (found / expected - 1.0).abs() < 0.036,
            "{number}: {found} {expected}"
        );
    }
}

/// Settings in which something of a chip scatters.
fn scattering() -> Vec<SearchConfig> {
    let rram4 = MemoryDevice::preset("rram4").unwrap();
    let pcm = MemoryDevice::preset("pcm-mushroom").unwrap();
    let mut drifted = SearchConfig::new(pcm.clone());
    drifted.hardware.mapping.slice_bits = None;
    drifted.hardware.operation.after = "1 d".parse().unwrap();
    let mut offset = SearchConfig::new(rram4.clone());
    offset.hardware.mapping.scheme = Scheme::DigitalOffset;
    let mut verified = SearchConfig::new(rram4.clone());
    verified.hardware.programming = Some(verification(0.05));
    let mut read = SearchConfig::new(pcm);
    read.hardware.mapping.slice_bits = None;
    read.fidelity = Fidelity::Array;
    let mut converted = SearchConfig::on(Hardware::preset("papers").unwrap().config().clone());
    converted.fidelity = Fidelity::Array;
    converted.hardware.array.rows = 4;
    let scaled = SearchConfig {
        scales: vec![
            SearchScale::default(),
            SearchScale {
                pool: 2,
                weight: 0.5,
            },
        ],
        ..SearchConfig::new(rram4.clone())
    };
    let varied = SearchConfig {
        variation: Some(Variation::from(Distribution::gaussian(0.1))),
        ..SearchConfig::new(ideal())
    };
    vec![
        SearchConfig::new(rram4),
        drifted,
        offset,
        verified,
        read,
        converted,
        scaled,
        varied,
    ]
}

fn verification(tolerance: f64) -> crate::program::Verification {
    crate::program::WriteVerify::new(tolerance, 0.05, 100)
        .unwrap()
        .into()
}

#[test]
fn a_chip_that_follows_its_store_is_the_chip_that_is_programmed_with_it() {
    // No multiple of four, so that slots are padded.
    const DIMENSION: usize = 6;
    for config in scattering() {
        let vectors = normals("stored", 30 * DIMENSION);
        let mut store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
        let mut chip = store.program(CHIP).unwrap();
        let before = store.program(CHIP).unwrap();
        for entry in [4, 5, 29, 0] {
            store.erase(EntryId::new(entry)).unwrap();
        }
        chip.follow(&store).unwrap();
        for vector in normals("later", 6 * DIMENSION).chunks(DIMENSION) {
            store.append(vector).unwrap();
            chip.follow(&store).unwrap();
        }
        assert_eq!(
            (store.len(), store.slots(), store.slot_writes()),
            (32, 32, 36)
        );
        let anew = store.program(CHIP).unwrap();
        for entry in store.entries() {
            assert_eq!(
                chip.read(entry).unwrap(),
                anew.read(entry).unwrap(),
                "{entry}"
            );
            if entry.get() < 30 {
                assert_eq!(
                    chip.read(entry).unwrap(),
                    before.read(entry).unwrap(),
                    "{entry}"
                );
            }
        }
        let queries = normals("query", 20 * DIMENSION);
        let queries = QuantizedQueries::new(&queries, DIMENSION, &config).unwrap();
        let found = bits(&chip.search(&queries, 7).unwrap());
        assert_eq!(found, bits(&anew.search(&queries, 7).unwrap()));
        assert!(
            found
                .iter()
                .all(|(entry, _)| ![4, 5, 29, 0].contains(entry))
        );
        assert!(chip.read(EntryId::new(4)).is_err());
        assert!(
            chip.follow(&VectorStore::of(&vectors, DIMENSION, &config).unwrap())
                .is_err()
        );
    }
}

#[test]
fn a_slot_that_is_written_again_draws_anew_and_keeps_its_faults() {
    let vector = [0.5, -1.0, 0.25, 0.125];
    let deviation = |store: &VectorStore, entry: EntryId| -> Vec<f32> {
        let held = store.program(CHIP).unwrap().read(entry).unwrap();
        let ideal = store.rounded(entry).unwrap();
        held.iter()
            .zip(ideal)
            .map(|(held, ideal)| held - ideal)
            .collect()
    };
    let twice = |device: MemoryDevice| {
        let mut store = VectorStore::of(&vector, 4, &SearchConfig::new(device)).unwrap();
        let first = store.entries().next().unwrap();
        let before = deviation(&store, first);
        store.erase(first).unwrap();
        let second = store.append(&vector).unwrap();
        assert_eq!((store.slots(), first.get(), second.get()), (1, 0, 1));
        (before, deviation(&store, second))
    };
    let (before, after) = twice(MemoryDevice::preset("fefet2").unwrap());
    assert!(
        before
            .iter()
            .zip(&after)
            .all(|(before, after)| before != after)
    );
    let faulty = ideal().with_faults(crate::device::Faults {
        stuck_on: 0.3,
        ..Default::default()
    });
    let (before, after) = twice(faulty.unwrap());
    assert!(before.iter().any(|moved| *moved != 0.0));
    assert_eq!(before, after);
}

#[test]
fn chips_differ_and_threads_do_not_show() {
    // More slots than one product takes.
    const DIMENSION: usize = 8;
    let config = SearchConfig::new(MemoryDevice::preset("fefet6").unwrap());
    let store = VectorStore::of(&normals("stored", 5000 * DIMENSION), DIMENSION, &config).unwrap();
    let queries = normals("query", 70 * DIMENSION);
    let queries = QuantizedQueries::new(&queries, DIMENSION, &config).unwrap();
    let on = |threads: usize, chip: ChipSeed| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| bits(&store.program(chip).unwrap().search(&queries, 3).unwrap()))
    };
    let one = on(1, CHIP);
    assert_eq!(on(3, CHIP), one);
    assert_ne!(on(3, ChipSeed::new(7, 18)), one);
}

#[test]
fn pulses_are_those_of_the_cells_that_are_written() {
    // Pulses with σ equal to the tolerance are accepted with probability erf(1/√2) = 0.682689: 1.4648 pulses a cell.
    let mut config = SearchConfig::new(ideal());
    config.hardware.programming = Some(verification(0.05));
    const DIMENSION: usize = 30;
    let mut store =
        VectorStore::of(&normals("stored", 200 * DIMENSION), DIMENSION, &config).unwrap();
    let mut chip = store.program(CHIP).unwrap();
    let writes = chip.writes();
    // Four pairs of 2-bit cells hold eight bits.
    assert_eq!(writes.cells, 200 * 30 * 8);
    assert_eq!(writes.reads, writes.pulses);
    let mean = writes.pulses as f64 / writes.cells as f64;
    // Cells at 1 uS are accepted down to 0 uS, where the clamp takes all that lies below: p = 0.841345 there.
    assert!(
        mean > 1.0 / 0.841345 - 0.02 && mean < 1.0 / 0.682689 + 0.02,
        "{mean}"
    );
    store.erase(EntryId::new(5)).unwrap();
    let erased = chip.follow(&store).unwrap();
    assert_eq!((erased.cells, erased.pulses, erased.reads), (240, 240, 0));
    store.append(&normals("later", DIMENSION)).unwrap();
    let written = chip.follow(&store).unwrap();
    assert_eq!(written.cells, 240);
    assert!(written.pulses > 240 && written.reads == written.pulses);
    assert_eq!(chip.follow(&store).unwrap().cells, 0);
    assert_eq!(chip.writes().pulses, writes.pulses + 240 + written.pulses);
}

#[test]
fn reads_that_scatter_draw_by_their_number() {
    let mut config = SearchConfig::new(MemoryDevice::preset("pcm-mushroom").unwrap());
    config.hardware.mapping.slice_bits = None;
    config.fidelity = Fidelity::Array;
    let store = VectorStore::of(&normals("stored", 20 * 16), 16, &config).unwrap();
    let chip = store.program(CHIP).unwrap();
    let values = normals("query", 3 * 16);
    let queries = QuantizedQueries::new(&values, 16, &config).unwrap();
    let found = bits(&chip.search(&queries, 20).unwrap());
    assert_eq!(bits(&chip.search(&queries, 20).unwrap()), found);
    assert_ne!(
        bits(&chip.search(&queries.clone().numbered_from(3), 20).unwrap()),
        found
    );
    // The last two alone, under the numbers that they had.
    let last = QuantizedQueries::new(&values[16..], 16, &config)
        .unwrap()
        .numbered_from(1);
    assert_eq!(bits(&chip.search(&last, 20).unwrap()), found[20..]);
}

#[test]
fn calibrated_converters_find_entries_again() {
    let config = SearchConfig {
        fidelity: Fidelity::Array,
        ..SearchConfig::on(Hardware::preset("isaac").unwrap().config().clone())
    };
    let vectors = normals("stored", 40 * 64);
    let store = VectorStore::of(&vectors, 64, &config).unwrap();
    let queries = QuantizedQueries::new(&vectors, 64, &config).unwrap();
    let found = store.program(CHIP).unwrap().search(&queries, 1).unwrap();
    assert!(
        entries_of(&found)
            .into_iter()
            .eq((0..40).map(|entry| vec![entry]))
    );
}

#[test]
fn few_steps_of_a_converter_change_scores() {
    let mut config = SearchConfig::new(ideal());
    config.fidelity = Fidelity::Array;
    let fine = config.clone();
    config.hardware.array.adc = Some(Adc::new(4).with_range(AdcRange::Max));
    let vectors = normals("stored", 40 * 64);
    let hits = |config: &SearchConfig| {
        let queries = QuantizedQueries::new(&normals("query", 4 * 64), 64, config).unwrap();
        let store = VectorStore::of(&vectors, 64, config).unwrap();
        bits(&store.program(CHIP).unwrap().search(&queries, 40).unwrap())
    };
    assert_ne!(hits(&config), hits(&fine));
}

#[test]
fn the_full_scale_is_the_largest_a_percentile_or_given() {
    let vectors: Vec<f32> = (1..=10)
        .map(|x| if x % 2 == 0 { -x as f32 } else { x as f32 })
        .collect();
    let config = SearchConfig::new(ideal());
    let scale = |config: &SearchConfig| {
        let store = VectorStore::of(&vectors, 5, config).unwrap();
        (store.state().full_scales[0], store.clipped())
    };
    assert_eq!(scale(&config), (Some(10.0), 0));
    let clipped = SearchConfig {
        clip_percentile: Some(90.0),
        ..config.clone()
    };
    assert_eq!(scale(&clipped), (Some(9.0), 1));
    let given = SearchConfig {
        full_scale: Some(4.0),
        ..config
    };
    assert_eq!(scale(&given), (Some(4.0), 6));
    let store = VectorStore::of(&vectors, 5, &given).unwrap();
    let rounded = store.rounded(EntryId::new(0)).unwrap();
    // Steps of 4/127: 1 is 32 of them, 2 is 64, 3 is 95, and all from 4 on is 127.
    let expected = [32.0, -64.0, 95.0, -127.0, 127.0].map(|code| code * 4.0 / 127.0);
    for (found, expected) in rounded.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{rounded:?}");
    }
}

#[test]
fn slots_are_used_again_the_lowest_first_and_a_full_store_refuses() {
    let config = SearchConfig {
        capacity: Some(3),
        ..SearchConfig::new(ideal())
    };
    let mut store = VectorStore::of(&[1.0, 2.0, 3.0], 1, &config).unwrap();
    let before = store.state();
    let error = store.append(&[4.0]).unwrap_err().to_string();
    assert_eq!(
        error,
        "entries of the store = 4 is outside its capacity of 3: erase entries, or raise capacity"
    );
    assert_eq!(store.state(), before);
    store.erase(EntryId::new(2)).unwrap();
    store.erase(EntryId::new(0)).unwrap();
    // Two fit, three do not, and then none is stored.
    assert!(store.extend(&[1.0, 1.0, 1.0]).is_err());
    assert_eq!(store.len(), 1);
    store.extend(&[1.0, 2.0]).unwrap();
    let ids = |store: &VectorStore| {
        store
            .state()
            .entries
            .iter()
            .map(|e| e.map(EntryId::get))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&store), [Some(3), Some(1), Some(4)]);
    assert_eq!(store.state().writes, [2, 1, 2]);
    let error = store.erase(EntryId::new(0)).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no entry `0`: use one of the 3 entries of the store"
    );
}

#[test]
fn costs_count_the_arrays_of_all_scales() {
    let mut config = SearchConfig::on(Hardware::preset("papers").unwrap().config().clone());
    config.scales.push(SearchScale {
        pool: 2,
        weight: 0.5,
    });
    config.hardware.array.rows = 64;
    config.hardware.array.columns = 64;
    // The converter of 128 columns serves 64.
    config.hardware.cost.as_mut().unwrap().adc.columns_per_adc = 64;
    let store = VectorStore::of(&normals("stored", 100 * 128), 128, &config).unwrap();
    let cost = store.cost().unwrap();
    // 100 entries on four pairs each are 800 columns, 13 arrays of 64; 128 inputs are two rows of arrays, 64 are one.
    assert_eq!((cost.entries, cost.arrays), (100, 2 * 13 + 13));
    assert_eq!(cost.programming.cells, 800 * (128 + 64));
    assert_eq!(cost.append.cells, 8 * (128 + 64));
    // [cost.programming] assumes ten pulses of 0.6 pJ, each with a read of 0.06 pJ.
    let energy = 800.0 * 192.0 * 10.0 * 0.66e-12;
    assert!((cost.programming.energy.get() / energy - 1.0).abs() < 1e-9);
    assert!(cost.query_energy.get() > 0.0 && cost.query_latency.get() > 0.0);
    // A chip that pulses each cell once takes no reads.
    let writes = store.program(CHIP).unwrap().writes();
    let once = store.write_energy(&writes).unwrap().get();
    assert!((once / (800.0 * 192.0 * 0.6e-12) - 1.0).abs() < 1e-9);
    // A capacity has its arrays from the start, and nothing is written yet.
    config.capacity = Some(1000);
    let empty = VectorStore::new(128, &config).unwrap().cost().unwrap();
    assert_eq!((empty.arrays, empty.programming.cells), (3 * 125, 0));
    assert!(
        VectorStore::new(4, &SearchConfig::new(ideal()))
            .unwrap()
            .cost()
            .is_err()
    );
}

fn refusal<T>(result: Result<T, HardwareError>) -> String {
    result
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

#[test]
fn what_is_no_vector_is_refused() {
    let config = SearchConfig::new(ideal());
    let mut store = VectorStore::of(&[1.0, 2.0], 2, &config).unwrap();
    for (vector, message) in [
        (
            vec![1.0, f32::NAN],
            "number 1 of vector 0 = NaN is outside the finite numbers: look at what the encoder gives for this text",
        ),
        (
            vec![0.0, 0.0],
            "vector 0 = 0, 0, .. is outside the vectors with a number other than 0: leave out texts of which the encoder knows nothing",
        ),
        (
            vec![1.0, 2.0, 3.0],
            "numbers of a vector = 3 is outside the dimension 2 of the store: use the encoder that the store was made with",
        ),
    ] {
        assert_eq!(refusal(store.append(&vector)), message);
    }
    assert_eq!(store.len(), 1);
    let query = QuantizedQueries::new(&[0.0, 0.0], 2, &config);
    assert!(refusal(query).starts_with("query 0 = 0, 0, .. is outside"));
}

#[test]
fn searches_that_cannot_be_are_refused() {
    let config = SearchConfig::new(ideal());
    let queries = QuantizedQueries::new(&[1.0, 2.0], 2, &config).unwrap();
    let store = VectorStore::of(&[1.0, 2.0], 2, &config).unwrap();
    let chip = store.program(CHIP).unwrap();
    for k in [0, 2] {
        let message = format!("k = {k} is outside 1..=1, the entries of the store: ask for fewer");
        assert_eq!(refusal(store.exact(&queries, k)), message);
        assert_eq!(refusal(chip.search(&queries, k)), message);
    }
    let empty = VectorStore::new(2, &config).unwrap();
    let message = "a search of an empty store: store some vectors first";
    assert_eq!(refusal(empty.exact(&queries, 1)), message);
    assert_eq!(
        refusal(empty.program(CHIP).unwrap().search(&queries, 1)),
        message
    );
    let longer = QuantizedQueries::new(&[1.0, 2.0, 3.0], 3, &config).unwrap();
    assert_eq!(
        refusal(chip.search(&longer, 1)),
        "queries of 3 numbers and a store of 2: use the encoder that the store was made with"
    );
    let scaled = SearchConfig {
        scales: vec![SearchScale {
            pool: 2,
            weight: 1.0,
        }],
        ..config
    };
    let queries = QuantizedQueries::new(&[1.0, 2.0], 2, &scaled).unwrap();
    assert!(refusal(chip.search(&queries, 1)).starts_with("queries of other scales"));
    let store = VectorStore::of(&[1.0, 2.0], 2, &scaled).unwrap();
    assert!(refusal(store.rounded(EntryId::new(0))).contains("add the scale { pool = 1 }"));
}

#[rstest]
#[case("bits = 9", "bits = 9 is outside 2..=8")]
#[case("scales = []", "scales = [] is outside one scale or more")]
#[case(
    "scales = [{ pool = 3, weight = 1.0 }]",
    "scales.pool = 3 is outside the divisors of the dimension 4"
)]
#[case(
    "scales = [{ pool = 2, weight = 0.0 }]",
    "scales.weight = 0 is outside"
)]
#[case("clip_percentile = 0.0", "clip_percentile = 0 is outside")]
#[case("full_scale = 0.0", "full_scale = 0 is outside")]
#[case(
    "full_scale = 1.0\nclip_percentile = 99.0",
    "full_scale and clip_percentile both say"
)]
#[case("capacity = 0", "capacity = 0 is outside 1..")]
#[case(
    "variation = { kind = \"gaussian\", sigma_rel_wmax = 0.1, scale = \"per-channel\" }",
    "variation.scale = per-channel"
)]
#[case(
    "fidelity = \"array\"\nvariation = { kind = \"gaussian\", sigma_rel_wmax = 0.1 }",
    "variation of whole numbers with fidelity = array"
)]
#[case(
    "hardware.wires.input_segment = \"1 Ohm\"\nhardware.wires.output_segment = \"1 Ohm\"",
    "[wires] of a store"
)]
#[case(
    "hardware.operation.drift_compensation = \"global\"\nhardware.operation.after = \"1 d\"",
    "operation.drift_compensation or"
)]
#[case(
    "hardware.operation.read_noise = true",
    "operation.read_noise = true at weight fidelity"
)]
#[case(
    "hardware.array.input = { bits = 8, sign = \"unsigned\" }",
    "array.input.sign = unsigned or"
)]
#[case(
    "hardware.mapping = { scheme = \"unit-column\", weight_bits = 8 }",
    "mapping.scheme = unit-column of a store"
)]
#[case(
    "hardware.mapping = { weight_bits = 8, scale = \"per-output\" }",
    "mapping.scale = per-output of a store"
)]
#[case(
    "hardware.mapping = { scheme = \"two-sided-pair\", weight_bits = 8, cell_levels = 128 }",
    "mapping.cell_levels of a store of 8 bits: its cells hold the integer"
)]
#[case(
    "hardware.mapping = { weight_bits = 8 }\nhardware.device = { preset = \"rram4\" }",
    "a mapping to 128 levels of a cell"
)]
#[case("hardware.layer = [{ path = \"fc\" }]", "[[layer]] of a store")]
fn settings_that_no_store_has_are_refused(#[case] changes: &str, #[case] message: &str) {
    let mut document: toml::Table = r#"
        hardware.device = { kind = "pcm-mushroom", g_min = "0 S", g_max = "25 uS" }
        hardware.mapping = { weight_bits = 8 }
        hardware.array = { rows = 64, columns = 64, input = { bits = 8 } }
    "#
    .parse()
    .unwrap();
    let changes: toml::Table = changes.parse().unwrap();
    for (key, value) in changes {
        match (document.get_mut(&key), value) {
            (Some(toml::Value::Table(hardware)), toml::Value::Table(changes)) => {
                for (key, value) in changes {
                    match (hardware.get_mut(&key), value) {
                        (Some(toml::Value::Table(part)), toml::Value::Table(changes))
                            if key == "array" =>
                        {
                            part.extend(changes)
                        }
                        (_, value) => drop(hardware.insert(key, value)),
                    }
                }
            }
            (_, value) => drop(document.insert(key, value)),
        }
    }
    let config: SearchConfig = document.try_into().unwrap();
    let found = refusal(VectorStore::new(4, &config));
    assert!(found.starts_with(message), "{found}");
    assert!(!found.contains('\n'));
}

#[test]
fn a_setting_is_read_and_written_the_same() {
    for config in scattering() {
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<SearchConfig>(&text).unwrap(), config);
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<SearchConfig>(&json).unwrap(), config);
    }
}

#[test]
fn a_state_that_no_store_has_is_refused() {
    let config = SearchConfig::new(ideal());
    let store = VectorStore::of(&[1.0, 2.0, 3.0, 4.0], 2, &config).unwrap();
    let with = |change: &dyn Fn(&mut StoredState)| {
        let mut state = store.state();
        change(&mut state);
        refusal(VectorStore::restored(2, &config, state))
    };
    assert_eq!(with(&|_| {}), "");
    assert!(with(&|state| state.codes[0][1] = -128).contains("the integer -128 of 8 bits"));
    assert!(with(&|state| state.entries[1] = state.entries[0]).contains("the entry 0 twice"));
    assert!(
        with(&|state| state.next = EntryId::new(1))
            .contains("the entry 1 twice, or before it came")
    );
    assert!(with(&|state| state.writes[0] = 0).contains("never written"));
    assert!(with(&|state| state.writes.truncate(1)).contains("2 slots and 1 counts"));
    assert!(with(&|state| state.codes.clear()).contains("0 scales in place of 1"));
    assert!(with(&|state| state.codes[0].truncate(3)).contains("3 integers in place of 4"));
    assert!(
        with(&|state| state.full_scales[0] = Some(f32::NAN)).contains("the full scale Some(NaN)")
    );
    assert!(with(&|state| state.full_scales[0] = None).contains("the full scale None"));
}
