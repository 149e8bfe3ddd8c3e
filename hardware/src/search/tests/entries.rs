//! Entries, full scales, settings and costs.

use super::*;

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
fn the_example_of_the_documentation_is_a_setting() {
    let document = include_str!("../../../../docs/search.md");
    let block = document
        .split("```toml")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let config: SearchConfig = toml::from_str(block).unwrap();
    let mut store = VectorStore::new(384, &config).unwrap();
    store.append(&normals("stored", 384)).unwrap();
}
