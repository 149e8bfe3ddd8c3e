//! GGUF files: one written by another program, and damaged ones.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use crossburn_checkpoints::gguf::{Array, GgufError, GgufFile, Value};
use proptest::prelude::*;

/// Written by the Python package `gguf` 0.19.0 (`GGUFWriter`, `gguf.quants`): metadata `test.*` of every value type, and
/// for every block type T a tensor "T" with its dequantised twin "T.values". The blocks of the K types, which the package
/// cannot write, are random bytes with sane scales.
///
/// ```text
/// rng = np.random.default_rng(1)
/// for kind in [F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1]:
///     add(kind, quants.quantize(rng.normal(size=(2, 64)).astype(np.float32), kind))
/// for kind, size, halves in [(Q4_K, 144, (0, 2)), (Q5_K, 176, (0, 2)), (Q6_K, 210, (208,))]:
///     blocks = rng.integers(0, 256, size=(2, size), dtype=np.uint8)
///     each row[place:place+2] for place in halves = float16(rng.uniform(0.001, 0.01))
///     add(kind, blocks)
/// add(kind, blocks): writer.add_tensor(kind.name, blocks, raw_dtype=kind)
///                    writer.add_tensor(kind.name + ".values", quants.dequantize(blocks, kind))
/// ```
const WRITTEN: &[u8] = include_bytes!("../src/gguf/testdata/gguf-py.gguf");

fn open(bytes: &[u8]) -> Result<GgufFile<&[u8]>, GgufError> {
    GgufFile::new(bytes, "m.gguf")
}

/// The message of the error, which must be one line that names the file.
fn message(bytes: &[u8]) -> String {
    let message = open(bytes).expect_err("an error").to_string();
    assert!(
        !message.contains('\n') && message.contains("m.gguf"),
        "{message}"
    );
    message
}

#[test]
fn every_block_type_agrees_with_another_reader() {
    let file = open(WRITTEN).unwrap();
    let mut types = 0;
    for tensor in file.tensors().filter(|tensor| !tensor.name().contains('.')) {
        let values = file.tensor(&format!("{}.values", tensor.name())).unwrap();
        assert_eq!(tensor.kind().to_string(), tensor.name());
        assert_eq!(tensor.shape(), values.shape());
        let (found, expected) = (tensor.dequantise(), values.dequantise());
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&found), bits(&expected), "{}", tensor.name());
        let mut second = vec![0.0; tensor.columns()];
        tensor.dequantise_rows(1..2, &mut second);
        assert_eq!(second, found[tensor.columns()..], "{}", tensor.name());
        types += 1;
    }
    assert_eq!(types, 11);
}

#[test]
fn every_value_type_is_read() {
    let file = open(WRITTEN).unwrap();
    let metadata = file.metadata();
    let get = |name: &str| metadata.get(&format!("test.{name}")).unwrap().clone();
    assert_eq!(get("u8"), Value::Unsigned(200));
    assert_eq!(get("i8"), Value::Signed(-100));
    assert_eq!(get("u16"), Value::Unsigned(60_000));
    assert_eq!(get("i16"), Value::Signed(-30_000));
    assert_eq!(get("u32"), Value::Unsigned(4_000_000_000));
    assert_eq!(get("i32"), Value::Signed(-2_000_000_000));
    assert_eq!(get("f32"), Value::Float(1.5));
    assert_eq!(get("bool"), Value::Bool(true));
    assert_eq!(get("text"), Value::Text("Gruße".to_string()));
    assert_eq!(get("u64"), Value::Unsigned(1 << 63));
    assert_eq!(get("i64"), Value::Signed(-(1 << 62)));
    assert_eq!(get("f64"), Value::Float(0.1));
    assert_eq!(get("integers"), Value::Array(Array::I32(vec![1, -2, 3])));
    assert_eq!(get("numbers"), Value::Array(Array::F32(vec![0.5, -0.25])));
    assert_eq!(get("truths"), Value::Array(Array::Bool(vec![true, false])));
    let texts: Vec<_> = metadata
        .texts("test.texts")
        .unwrap()
        .unwrap()
        .iter()
        .collect();
    assert_eq!(texts, ["a", "", "Ġthe"]);
    assert_eq!(
        metadata.text("general.architecture").unwrap(),
        Some("llama")
    );
    assert_eq!(metadata.number("test.i16").unwrap(), Some(-30_000.0));
    assert_eq!(metadata.count("test.nothing").unwrap(), None);
    assert_eq!(
        metadata.count("test.text").unwrap_err().to_string(),
        "m.gguf: metadata \"test.text\" is the text \"Gruße\", a count, the same for all layers, is needed; convert the \
         model again"
    );
}

#[test]
fn version_2_has_the_same_layout() {
    let mut bytes = WRITTEN.to_vec();
    bytes[4] = 2;
    assert_eq!(open(&bytes).unwrap().version(), 2);
}

#[test]
fn foreign_files_are_named() {
    let with = |place: usize, new: &[u8]| {
        let mut bytes = WRITTEN.to_vec();
        bytes[place..place + new.len()].copy_from_slice(new);
        message(&bytes)
    };
    let knows =
        "; this reader knows little-endian GGUF of version 2 and 3: convert it with llama.cpp";
    assert_eq!(with(4, &[1]), format!("m.gguf is GGUF of version 1{knows}"));
    assert_eq!(with(4, &[9]), format!("m.gguf is GGUF of version 9{knows}"));
    assert_eq!(
        with(4, &[0, 0, 0, 3]),
        format!("m.gguf is big-endian GGUF of version 3{knows}")
    );
    assert_eq!(
        with(0, b"tjgg"),
        format!("m.gguf is of a ggml format older than GGUF{knows}")
    );
    assert_eq!(
        message(b"PK\x03\x04 a zip archive"),
        "m.gguf is not a GGUF file: it starts with \"PK\\u{3}\\u{4}\", not \"GGUF\"; give a file that llama.cpp reads"
    );
    assert_eq!(
        message(b""),
        "m.gguf is not a GGUF file: it starts with \"\", not \"GGUF\"; give a file that llama.cpp reads"
    );
}

#[test]
fn every_cut_is_an_error() {
    // The file ends with padding, which nothing needs.
    let last = open(WRITTEN)
        .unwrap()
        .tensor("Q6_K.values")
        .unwrap()
        .blocks()
        .as_ptr_range()
        .end as usize;
    let needed = last - WRITTEN.as_ptr() as usize;
    for length in 0..needed {
        message(&WRITTEN[..length]);
    }
    assert!(open(&WRITTEN[..needed]).is_ok());
    assert_eq!(
        message(&WRITTEN[..needed - 1]),
        format!(
            "m.gguf is cut: tensor \"Q6_K.values\" ends at byte {needed}, the file has {}; copy it again",
            needed - 1
        )
    );
    assert_eq!(
        message(&WRITTEN[..40]),
        "m.gguf is cut: the key of metadata 0 of 17 ends at byte 52, the file has 40; copy it again"
    );
}

/// A file of one metadata value and one tensor, with what comes after the header.
fn small(metadata: &[&[u8]], tensor: &[&[u8]]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let counts = [1u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
    let mut bytes = [
        b"GGUF\x03\0\0\0",
        &counts[..],
        &text("k"),
        &metadata.concat(),
    ]
    .concat();
    bytes.extend([text("w"), tensor.concat()].concat());
    bytes.resize(bytes.len().next_multiple_of(32) + 64, 0);
    bytes
}

fn u32s(values: &[u32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn u64s(values: &[u64]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[test]
fn headers_that_contradict_the_format_are_refused() {
    let value = u32s(&[4, 7]);
    let tensor: [&[u8]; 4] = [&u32s(&[1]), &u64s(&[16]), &u32s(&[0]), &u64s(&[0])];
    assert!(open(&small(&[&value], &tensor)).is_ok());
    for (metadata, tensor, expected) in [
        (
            vec![u32s(&[13])],
            None,
            "the metadata \"k\" has the unknown value type 13",
        ),
        (
            vec![u32s(&[9, 9]), u64s(&[1])],
            None,
            "\"k\" is an array of arrays",
        ),
        (
            vec![u32s(&[9, 4]), u64s(&[u64::MAX])],
            None,
            "is cut: the metadata \"k\" ends at byte",
        ),
        (
            vec![u32s(&[9, 8]), u64s(&[1 << 61])],
            None,
            "is cut: the metadata \"k\" ends at byte",
        ),
        (
            vec![u32s(&[8]), u64s(&[u64::MAX])],
            None,
            "is cut: the metadata \"k\" ends at byte",
        ),
        (
            vec![u32s(&[7]), vec![2]],
            None,
            "holds the truth value 2, not 0 or 1",
        ),
        (
            vec![u32s(&[8]), u64s(&[1]), vec![0xff]],
            None,
            "the metadata \"k\" is not UTF-8",
        ),
        (
            vec![value.clone()],
            Some((5, vec![1; 5], 0, 0)),
            "tensor \"w\" has 5 axes, more than 4",
        ),
        (
            vec![value.clone()],
            Some((1, vec![16], 10, 0)),
            "tensor \"w\" has type Q2_K (10); this reader knows F32, F16,",
        ),
        (
            vec![value.clone()],
            Some((1, vec![16], 2, 0)),
            "shape [16], whose rows are no whole blocks of 32",
        ),
        (
            vec![value.clone()],
            Some((2, vec![16, u64::MAX], 0, 0)),
            "or too many",
        ),
        (
            vec![value.clone()],
            Some((1, vec![17], 0, 0)),
            "is cut: tensor \"w\" ends at byte",
        ),
        (
            vec![value.clone()],
            Some((1, vec![16], 0, 33)),
            "the offset 33, which the alignment 32 does not divide",
        ),
        (
            vec![value],
            Some((1, vec![16], 0, u64::MAX - 31)),
            "is cut: tensor \"w\" ends at byte",
        ),
    ] {
        let parts: Vec<&[u8]> = metadata.iter().map(Vec::as_slice).collect();
        let bytes = match tensor {
            None => small(&parts, &tensor_of(1, &[16], 0, 0)),
            Some((axes, shape, kind, offset)) => {
                small(&parts, &tensor_of(axes, &shape, kind, offset))
            }
        };
        let found = message(&bytes);
        assert!(found.contains(expected), "{found}\n{expected}");
    }

    fn tensor_of(axes: u32, shape: &[u64], kind: u32, offset: u64) -> [&'static [u8]; 1] {
        [Vec::leak(
            [u32s(&[axes]), u64s(shape), u32s(&[kind]), u64s(&[offset])].concat(),
        )]
    }
}

#[test]
fn tensors_must_not_share_bytes_or_names() {
    let place = |needle: &[u8]| {
        WRITTEN
            .windows(needle.len())
            .position(|w| w == needle)
            .unwrap()
    };
    // The offset of "F16" (two axes): name, 4 bytes, 16 bytes, 4 bytes.
    let mut bytes = WRITTEN.to_vec();
    let offset = place(b"\x03\0\0\0\0\0\0\0F16") + 8 + 3 + 24;
    bytes[offset..offset + 8].fill(0);
    assert_eq!(
        message(&bytes),
        "m.gguf is damaged: tensors \"F32\" and \"F16\" overlap; copy or convert it again"
    );
    let mut bytes = WRITTEN.to_vec();
    let name = place(b"\x04\0\0\0\0\0\0\0Q5_0") + 8;
    bytes[name..name + 4].copy_from_slice(b"Q4_0");
    assert!(message(&bytes).contains("tensor \"Q4_0\" stands there twice"));
}

/// Opens, and where that succeeds reads everything.
fn use_all(bytes: &[u8]) {
    if let Ok(file) = open(bytes) {
        let numbers: usize = file.tensors().map(|tensor| tensor.dequantise().len()).sum();
        assert!(numbers <= 8 * bytes.len());
    }
}

proptest! {
    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        use_all(&bytes);
        use_all(&[b"GGUF\x03\0\0\0", &bytes[..]].concat());
        use_all(&[b"GGUF\x02\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0", &bytes[..]].concat());
    }

    #[test]
    fn damaged_files_do_not_panic(
        changes in prop::collection::vec((0..3000usize, any::<u8>()), 1..4),
        length in 0..=WRITTEN.len(),
        cut in any::<bool>(),
    ) {
        let mut bytes = WRITTEN.to_vec();
        for (place, new) in changes {
            bytes[place] = new;
        }
        use_all(&bytes[..if cut { length } else { bytes.len() }]);
    }
}
