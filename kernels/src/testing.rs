//! Functions that the tests of all operations share.

use burn::tensor::Device;
use pulp::Arch;

/// `count` numbers between -1 and 1. The same seed gives the same numbers.
pub(crate) fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        })
        .collect()
}

/// Fails if `found` differs from `expected` by more than `tolerance`, relative to the larger of one and the value.
#[track_caller]
pub(crate) fn agree(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected).abs();
        assert!(
            difference <= tolerance * expected.abs().max(1.0),
            "value {index} is {found}, not {expected}"
        );
    }
}

/// All instruction sets of this processor for which a kernel is compiled, including the plain one.
pub(crate) fn paths() -> Vec<Arch> {
    let mut paths = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        paths.extend(pulp::x86::V3::try_new().map(Arch::V3));
        paths.extend(pulp::x86::V4::try_new().map(Arch::V4));
    }
    paths
}

/// A pool of `threads` threads.
pub(crate) fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("a pool")
}

/// The CPU backends of this build: Flex, and NdArray if its feature is on. NdArray runs the default bodies.
pub(crate) fn cpus() -> Vec<Device> {
    vec![
        Device::flex(),
        #[cfg(feature = "ndarray")]
        #[allow(deprecated, reason = "Burn's ndarray backend stays selectable")]
        Device::ndarray(),
    ]
}
