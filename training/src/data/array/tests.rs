use super::writing::{header, npy, with_header};
use super::*;
use crate::data::class_list::Labels;

fn read(bytes: &[u8]) -> Result<Array, TrainingError> {
    Array::read("x.npy".to_string(), bytes, bytes.len() as u64)
}

fn floats(descr: &str, elements: &[u8]) -> Vec<f32> {
    let count = 2;
    let array = read(&npy(descr, &[count], elements)).unwrap();
    match array.into_values().unwrap() {
        Values::Floats(floats) => floats,
        Values::Bytes(bytes) => bytes.iter().map(|byte| f32::from(*byte)).collect(),
        Values::Streamed(_) => Vec::new(),
    }
}

fn le<const N: usize, T>(values: [T; 2], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.map(bytes).concat()
}

#[test]
fn every_type_of_number_is_read_in_both_byte_orders() {
    let cases = [
        ("|b1", vec![0, 1], [0.0, 1.0]),
        ("|u1", vec![7, 255], [7.0, 255.0]),
        ("|i1", vec![0xff, 127], [-1.0, 127.0]),
        ("<u2", le([1, 65_535], u16::to_le_bytes), [1.0, 65_535.0]),
        (">u2", le([1, 65_535], u16::to_be_bytes), [1.0, 65_535.0]),
        ("<i2", le([-2, 300], i16::to_le_bytes), [-2.0, 300.0]),
        (
            "<u4",
            le([1, 1 << 31], u32::to_le_bytes),
            [1.0, 2_147_483_648.0],
        ),
        ("<i4", le([-3, 70_000], i32::to_le_bytes), [-3.0, 70_000.0]),
        (">i4", le([-3, 70_000], i32::to_be_bytes), [-3.0, 70_000.0]),
        (
            "<u8",
            le([1, 1 << 40], u64::to_le_bytes),
            [1.0, 1_099_511_627_776.0],
        ),
        ("<i8", le([-1, 5], i64::to_le_bytes), [-1.0, 5.0]),
        // 1.0 and -2.5 as half precision: 0x3c00 and 0xc100.
        ("<f2", vec![0x00, 0x3c, 0x00, 0xc1], [1.0, -2.5]),
        (">f2", vec![0x3c, 0x00, 0xc1, 0x00], [1.0, -2.5]),
        ("<f4", le([0.25, -1e30], f32::to_le_bytes), [0.25, -1e30]),
        (">f4", le([0.25, -1e30], f32::to_be_bytes), [0.25, -1e30]),
        ("<f8", le([0.5, 3.0], f64::to_le_bytes), [0.5, 3.0]),
        (">f8", le([0.5, 3.0], f64::to_be_bytes), [0.5, 3.0]),
    ];
    for (descr, elements, expected) in cases {
        assert_eq!(floats(descr, &elements), expected, "{descr}");
    }
}

#[test]
fn column_order_becomes_row_order() {
    // numpy.asfortranarray([[0, 1, 2], [3, 4, 5]]) holds 0, 3, 1, 4, 2, 5.
    let fortran = header("|u1", &[2, 3]).replace("False", "True");
    let array = read(&with_header(&fortran, &[0, 3, 1, 4, 2, 5])).unwrap();
    assert_eq!(
        array.into_values().unwrap(),
        Values::Bytes(vec![0, 1, 2, 3, 4, 5])
    );
    // Three axes, elements of two bytes: element (i, j, k) = 100 i + 10 j + k of shape [2, 2, 3].
    let mut elements = Vec::new();
    let mut expected = Vec::new();
    for k in 0..3u16 {
        for j in 0..2 {
            for i in 0..2 {
                elements.extend((100 * i + 10 * j + k).to_le_bytes());
            }
        }
    }
    for i in 0..2u16 {
        for j in 0..2 {
            for k in 0..3 {
                expected.push(f32::from(100 * i + 10 * j + k));
            }
        }
    }
    let fortran = header("<u2", &[2, 2, 3]).replace("False", "True");
    let array = read(&with_header(&fortran, &elements)).unwrap();
    assert_eq!(array.into_values().unwrap(), Values::Floats(expected));
}

#[test]
fn headers_of_all_versions_are_read() {
    let good = npy("|u1", &[2], &[8, 9]);
    // Versions 2 and 3 have a 32-bit length.
    for version in [2, 3] {
        let mut bytes = good.clone();
        bytes[6] = version;
        bytes.splice(10..10, [0, 0]);
        let array = read(&bytes).unwrap();
        assert_eq!(array.into_values().unwrap(), Values::Bytes(vec![8, 9]));
    }
    // A header as Python 2 wrote it, and one whose keys are in another order.
    for header in [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }",
        "{'shape': (2,), 'fortran_order': False, 'descr': '|u1'}",
    ] {
        assert_eq!(read(&with_header(header, &[8, 9])).unwrap().shape, [2]);
    }
}

#[test]
fn what_is_no_array_is_refused() {
    let huge = header("<f8", &[usize::MAX, usize::MAX]);
    let large = header("<f8", &[1 << 40]);
    for (bytes, part) in [
        (
            Vec::new(),
            "x.npy: this is no NumPy array; save it with numpy.save",
        ),
        (
            b"PK\x03\x04 and more of it".to_vec(),
            "this is no NumPy array",
        ),
        (
            with_header(&huge, &[0; 8]),
            "needs more bytes than can be counted, it holds 8",
        ),
        (
            with_header(&large, &[0; 8]),
            "shape [1099511627776] needs 8796093022208 bytes, it holds 8",
        ),
        (
            npy("|u1", &[3], &[1, 2]),
            "shape [3] needs 3 bytes, it holds 2",
        ),
        (
            npy("|u1", &[3], &[1, 2, 3, 4]),
            "shape [3] needs 3 bytes, it holds 4",
        ),
        (
            npy("|O", &[1], &[0; 8]),
            "pickled Python objects (dtype object); convert it with .astype",
        ),
        (npy("<c8", &[1], &[0; 8]), "complex numbers (dtype <c8)"),
        (
            npy("<M8[ns]", &[1], &[0; 8]),
            "elements of dtype <M8[ns] cannot be used",
        ),
        (
            npy("<f16", &[1], &[0; 16]),
            "elements of dtype <f16 cannot be used",
        ),
        (
            with_header(
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                &[0; 4],
            ),
            "its elements have several fields",
        ),
        (
            with_header("{'descr': '<f4', 'shape': (1,)}", &[0; 4]),
            "header cannot be understood",
        ),
        (
            with_header(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                &[0; 4],
            ),
            "header cannot be understood",
        ),
        (
            npy("|u1", &[2], &[8, 9])[..40].to_vec(),
            "this is a damaged NumPy array",
        ),
        (
            [&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..], &[b' '; 100]].concat(),
            "its header has 4294967295 bytes",
        ),
    ] {
        let message = read(&bytes).unwrap_err().to_string();
        assert!(
            message.contains(part) && message.starts_with("x.npy: "),
            "{message}"
        );
    }
}

#[test]
fn values_that_are_not_finite_are_named_with_their_sample() {
    let of = |descr, shape: &[usize], bytes: Vec<u8>| {
        let array = read(&npy(descr, shape, &bytes)).unwrap();
        array.into_values().unwrap_err().to_string()
    };
    let nan = [0.0f32, 1.0, 2.0, f32::NAN, 4.0, 5.0]
        .map(f32::to_le_bytes)
        .concat();
    let message = of("<f4", &[3, 2], nan);
    assert!(message.contains("sample 1 has the value NaN"), "{message}");
    let large = le([0.0, 1e300], f64::to_le_bytes);
    let message = of("<f8", &[2], large);
    assert!(message.contains("sample 1 has the value inf"), "{message}");
    let message = of("<U1", &[1], vec![65, 0, 0, 0]);
    assert!(message.contains("it holds text"), "{message}");
}

fn labels(descr: &str, shape: &[usize], bytes: &[u8]) -> Result<Labels, TrainingError> {
    read(&npy(descr, shape, bytes)).unwrap().into_labels()
}

#[test]
fn labels_are_numbers_names_or_one_hot_rows() {
    let numbers = Labels::Numbers(vec![1, 0]);
    let names = Labels::Names(vec!["Ä".to_string(), "bc".to_string()]);
    for (descr, shape, bytes, expected) in [
        ("|u1", &[2][..], vec![1, 0], &numbers),
        ("|u1", &[2, 1], vec![1, 0], &numbers),
        ("<i8", &[2], le([1, 0], i64::to_le_bytes), &numbers),
        ("<f4", &[2], le([1.0, 0.0], f32::to_le_bytes), &numbers),
        ("|b1", &[2], vec![1, 0], &numbers),
        ("|u1", &[2, 3], vec![0, 1, 0, 1, 0, 0], &numbers),
        (
            "<f4",
            &[2, 2],
            [0.0f32, 1.0, 1.0, 0.0].map(f32::to_le_bytes).concat(),
            &numbers,
        ),
        (
            "<U2",
            &[2],
            vec![0xc4, 0, 0, 0, 0, 0, 0, 0, b'b', 0, 0, 0, b'c', 0, 0, 0],
            &names,
        ),
        (
            ">U2",
            &[2],
            vec![0, 0, 0, 0xc4, 0, 0, 0, 0, 0, 0, 0, b'b', 0, 0, 0, b'c'],
            &names,
        ),
        ("|S2", &[2, 1], vec![0xc3, 0x84, b'b', b'c'], &names),
    ] {
        assert_eq!(
            labels(descr, shape, &bytes).unwrap(),
            *expected,
            "{descr} {shape:?}"
        );
    }
    let last = labels("<u2", &[1], &65_534u16.to_le_bytes()).unwrap();
    assert_eq!(last, Labels::Numbers(vec![65_534]));
}

#[test]
fn labels_that_are_none_are_named_with_their_sample() {
    for (descr, shape, bytes, part) in [
        (
            "<i4",
            &[2][..],
            le([0, -1], i32::to_le_bytes),
            "label -1 of sample 1 is outside 0..=65534",
        ),
        (
            "<i4",
            &[2],
            le([0, 65_535], i32::to_le_bytes),
            "label 65535 of sample 1 is outside 0..=65534",
        ),
        (
            "<f4",
            &[2],
            le([0.5, 1.0], f32::to_le_bytes),
            "label 0.5 of sample 0 is not a whole number",
        ),
        (
            "<f4",
            &[2],
            le([f32::NAN, 1.0], f32::to_le_bytes),
            "label NaN of sample 0 is not a whole number",
        ),
        (
            "<f8",
            &[2],
            le([f64::INFINITY, 1.0], f64::to_le_bytes),
            "is not a whole number",
        ),
        (
            "|u1",
            &[2, 2],
            vec![1, 0, 1, 1],
            "the 2 labels of sample 1 are not one 1 among zeros",
        ),
        ("|u1", &[2, 2], vec![1, 0, 0, 0], "the 2 labels of sample 1"),
        ("|u1", &[2, 2], vec![1, 0, 0, 3], "the 2 labels of sample 1"),
        (
            "|u1",
            &[1, 1, 2],
            vec![1, 0],
            "labels of shape [1, 1, 2] cannot be used",
        ),
        ("|u1", &[2, 0], vec![], "one-hot labels of 0 columns"),
        (
            "<U1",
            &[2],
            vec![b'a', 0, 0, 0, 0, 0, 0, 0],
            "the label of sample 1 is empty",
        ),
        (
            "<U1",
            &[1],
            vec![0, 0, 0x11, 0],
            "the label of sample 0 is empty or no text",
        ),
        (
            "<U1",
            &[1, 2],
            vec![0; 8],
            "there are 2 names for each sample",
        ),
    ] {
        let message = labels(descr, shape, &bytes).unwrap_err().to_string();
        assert!(
            message.contains(part) && message.starts_with("x.npy: "),
            "{message}"
        );
    }
}
