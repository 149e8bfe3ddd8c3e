//! An archive of arrays of the size of MNIST: loaded, streamed, and its file read, which is the floor.
#![allow(missing_docs, reason = "a bench is a program of its own")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed bench")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossburn_training::data::DataSource;
use flate2::Crc;

/// An array of bytes in NumPy's format.
fn npy(shape: &[usize], elements: impl Iterator<Item = u8>) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis},")).collect();
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({axes}), }}");
    let start = [
        b"\x93NUMPY\x01\0\x76\0",
        format!("{header:<117}\n").as_bytes(),
    ]
    .concat();
    start.into_iter().chain(elements).collect()
}

/// Writes an archive of unpacked members, as `numpy.savez` does.
fn write_archive(path: &Path, members: &[(&str, Vec<u8>)]) {
    let (mut file, mut list) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let mut crc = Crc::new();
        crc.update(content);
        let size = (content.len() as u32).to_le_bytes();
        // Version, flags, method, time and date; checksum, sizes, lengths of the name and of extra fields.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend([crc.sum().to_le_bytes(), size, size].concat());
        common.extend([name.len() as u8, 0, 0, 0]);
        // Length of the comment, disk and attributes; where the member is.
        list.extend([b"PK\x01\x02\x14\0", &common[..], &[0; 10]].concat());
        list.extend((file.len() as u32).to_le_bytes());
        list.extend(name.as_bytes());
        file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
    }
    let count = [members.len() as u8, 0];
    let end = [b"PK\x05\x06\0\0\0\0", &count[..], &count[..]].concat();
    let place = [list.len() as u32, file.len() as u32].map(u32::to_le_bytes);
    std::fs::write(path, [file, list, end, place.concat(), vec![0; 2]].concat()).unwrap();
}

fn loading(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    let pixels = |count: usize| (0..count * 784).map(|i| (i * i % 251) as u8);
    let labels = |count: usize| (0..count).map(|i| (i * 7 % 10) as u8);
    write_archive(
        &path,
        &[
            ("x_train.npy", npy(&[60_000, 28, 28], pixels(60_000))),
            ("y_train.npy", npy(&[60_000], labels(60_000))),
            ("x_test.npy", npy(&[10_000, 28, 28], pixels(10_000))),
            ("y_test.npy", npy(&[10_000], labels(10_000))),
        ],
    );
    let source = |stream: &str| -> DataSource {
        let text = format!("npz:{}?stream={stream}", path.display());
        text.parse().unwrap()
    };
    let mut group = c.benchmark_group("npz_70k_images");
    group
        .throughput(Throughput::Bytes(std::fs::metadata(&path).unwrap().len()))
        .sample_size(20)
        .measurement_time(Duration::from_secs(3));
    group.bench_function("read_the_file", |b| {
        b.iter(|| black_box(std::fs::read(&path).unwrap()));
    });
    for (name, stream) in [("load", "no"), ("stream", "yes")] {
        // A source that was opened keeps what stays in its file: each round has a new one.
        group.bench_function(name, |b| {
            b.iter(|| black_box(source(stream).load(1, None, None).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, loading);
criterion_main!(benches);
