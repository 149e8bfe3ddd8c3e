//! What chips add, and what writing them takes.

use crossburn_noise::FourLevel;
use rstest::rstest;

use super::*;
use crate::array::{Adc, AdcRange};
use crate::device::Faults;

/// Standard deviation of values around 0.
fn spread(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
}

#[rstest]
#[case::one_cell_of_any_level(8, None, 127.0)]
#[case::a_cell_of_more_bits_than_the_number(2, Some(2), 1.0)]
fn cells_that_scatter_alike_move_numbers_as_the_pair_of_them_says(
    #[case] bits: u8,
    #[case] slice_bits: Option<u8>,
    #[case] level: f64,
) {
    // One pair of cells a number, σ = 0.2 % of g_max, a span of 99 %: a number of up to n steps scatters by √2 · n · 0.002 / 0.99 steps.
    let cell =
        "kind = \"additive\"\ng_min = \"1000 uS\"\ng_max = \"100000 uS\"\nsigma_rel_gmax = 0.002";
    let mut config = SearchConfig::new(device(cell));
    config.bits = bits;
    config.hardware.mapping.slice_bits = slice_bits;
    const DIMENSION: usize = 50;
    // No vector may round to 0, not even in 2 bits.
    let vectors = normals("stored", 400 * DIMENSION);
    let vectors: Vec<f32> = vectors.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
    let store = VectorStore::of(&vectors, DIMENSION, &config).unwrap();
    let chip = store.program(CHIP).unwrap();
    let unit = f64::from(store.state().full_scales[0].unwrap()) / level;
    let moved: Vec<f64> = store
        .entries()
        .flat_map(|entry| {
            let held = chip.read(entry).unwrap().into_iter();
            let ideal = store.rounded(entry).unwrap();
            let moved = held.zip(ideal).map(|(held, ideal)| f64::from(held - ideal));
            moved.collect::<Vec<_>>()
        })
        .collect();
    let expected = unit * 2f64.sqrt() * level * 0.002 / 0.99;
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
        let written: u32 = store.state().writes.iter().sum();
        assert_eq!((store.len(), store.slots(), written), (32, 32, 36));
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
    let faulty = ideal().with_faults(Faults {
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
fn arrays_that_are_read_exactly_give_whole_steps() {
    // Two arrays for each entry, each rounded by half a step at most.
    const DIMENSION: usize = 16;
    let mut weight = SearchConfig::new(MemoryDevice::preset("fefet2").unwrap());
    weight.hardware.array.rows = 8;
    let array = SearchConfig {
        fidelity: Fidelity::Array,
        ..weight.clone()
    };
    let (stored, query) = (
        normals("stored", 40 * DIMENSION),
        normals("query", DIMENSION),
    );
    let largest = query.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let steps = |config: &SearchConfig| -> Vec<f64> {
        let store = VectorStore::of(&stored, DIMENSION, config).unwrap();
        let queries = QuantizedQueries::new(&query, DIMENSION, config).unwrap();
        let step =
            f64::from(store.state().full_scales[0].unwrap() / 127.0) * f64::from(largest / 127.0);
        let found = store.program(CHIP).unwrap().search(&queries, 40).unwrap();
        let mut hits = found[0].clone();
        hits.sort_by_key(|hit| hit.entry);
        hits.iter().map(|hit| f64::from(hit.score) / step).collect()
    };
    let (exact, rounded) = (steps(&weight), steps(&array));
    // Scores of up to 16 · 127² steps are 32-bit numbers: 0.02 of a step.
    let off_whole = |steps: &f64| (steps - steps.round()).abs();
    assert!(exact.iter().any(|steps| off_whole(steps) > 0.05));
    assert!(rounded.iter().all(|steps| off_whole(steps) < 0.05));
    for (exact, rounded) in exact.iter().zip(&rounded) {
        assert!((exact - rounded).abs() < 1.05, "{exact} {rounded}");
    }
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
