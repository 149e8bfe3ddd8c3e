mod chips;
mod entries;
mod exactness;
mod refusals;

use crossburn_noise::{ChipSeed, Distribution, Variation};

use super::*;
use crate::Scheme;
use crate::deploy::{Fidelity, Hardware};
use crate::device::MemoryDevice;

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
