//! What is refused, in one line.

use rstest::rstest;

use super::*;
use crate::HardwareError;

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
    // Steps of 2/127: half of one is 0.0078.
    assert_eq!(
        refusal(store.append(&[0.007, -0.007])),
        "vector 0, rounded to 8 bits = 0, 0, .. is outside what the full scale 2 of the store tells from 0: store vectors of about the same length, or give full_scale"
    );
    assert_eq!(store.len(), 1);
    store.append(&[0.008, 0.0]).unwrap();
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
    let mut fewer = SearchConfig::new(ideal());
    fewer.hardware.array.input.bits = 4;
    let queries = QuantizedQueries::new(&[1.0, 2.0], 2, &fewer).unwrap();
    let message = "queries of other input bits than those of the store: quantize the queries with the setting of the store";
    assert_eq!(refusal(chip.search(&queries, 1)), message);
    assert_eq!(refusal(store.exact(&queries, 1)), message);
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
    "hardware.mapping = { scheme = \"two-sided-pair\", weight_bits = 8, cell_levels = 200 }",
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
    assert!(
        with(&|state| state.entries[1] = state.entries[0]).contains("the entry 0 in two slots")
    );
    assert!(
        with(&|state| state.next = EntryId::new(1)).contains("the entry 1, although the next is 1")
    );
    assert!(
        with(&|state| state.next = EntryId::new(u64::MAX))
            .contains("18446744073709551615 as its next entry")
    );
    assert!(with(&|state| state.writes[1] = u32::MAX).contains("written 4294967295 times"));
    assert!(with(&|state| state.writes[0] = 0).contains("never written"));
    assert!(with(&|state| state.writes.truncate(1)).contains("2 slots and 1 counts"));
    assert!(with(&|state| state.codes.clear()).contains("0 scales in place of 1"));
    assert!(with(&|state| state.codes[0].truncate(3)).contains("3 integers in place of 4"));
    assert!(
        with(&|state| state.full_scales[0] = Some(f32::NAN)).contains("the full scale Some(NaN)")
    );
    assert!(with(&|state| state.full_scales[0] = None).contains("the full scale None"));
}
