//! Which images a pass through a network is about.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The result of `pass`. During the pass, products on arrays know the numbers `images` of the items in the data set, in the
/// order of the batch.
///
/// Read noise of an image is then a function of the chip and of the number, in whatever order and batches images come. The
/// first dimension of a layer's input must be that of the images, or a multiple of it. A pass that is not wrapped reads on
/// from the last one that was not. The layers must be called on this thread, as `forward` of a network does, or within
/// [`on_pool`].
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
/// use crossburn_hardware::layer::{about_items, linear};
/// use crossburn_noise::ChipSeed;
///
/// let hardware = Hardware::from_toml(r#"
///     device = { preset = "pcm-mushroom" }
///     mapping = { weight_bits = 8 }
///     array = { rows = 64, columns = 64, input = { bits = 8 } }
/// "#)?;
/// let device = Device::flex();
/// let network = LinearConfig::new(10, 4).init(&device);
/// let images = Tensor::<2>::ones([2, 10], &device);
/// let mapped = MappedNetwork::new(&network, &hardware, 2, |network| {
///     linear(network, images.clone());
/// })?;
/// let chip = mapped.fab(Fidelity::Array)?.chip(ChipSeed::new(7, 17))?;
/// let read = |numbers: &[u64]| about_items(numbers, || linear(&chip, images.clone())).into_data();
/// assert_eq!(read(&[3, 8]), read(&[3, 8]));
/// assert_ne!(read(&[3, 8]), read(&[4, 8]));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn about_items<T>(images: &[u64], pass: impl FnOnce() -> T) -> T {
    let now = Pass {
        number: PASSES.fetch_add(1, Ordering::Relaxed),
        images: images.into(),
    };
    // A thread that waits for others may take up another pass meanwhile, so the one before comes back in any case.
    let _before = Before(PASS.replace(Some(now)));
    pass()
}

/// Runs `work` on a thread of the current pool of threads, about the items of the pass that goes on here.
///
/// A product in `work` then shares its parts with the other threads at once. Outside of the pool, each product must first wake a
/// thread up, which takes longer than a small product itself.
pub fn on_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let now = pass();
    rayon::scope(|_| {
        let _before = Before(PASS.replace(now));
        work()
    })
}

/// A pass that goes on.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    /// Tells passes apart.
    pub(super) number: u64,
    pub(super) images: Arc<[u64]>,
}

/// The pass that goes on on this thread, where its images are known.
pub(super) fn pass() -> Option<Pass> {
    PASS.with_borrow(Option::clone)
}

static PASSES: AtomicU64 = AtomicU64::new(1);

// Layers of strangers' networks take a tensor and nothing else, and Burn's visitors do not reach what is attached to a weight.
thread_local! {
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// Puts a pass back when it is dropped.
struct Before(Option<Pass>);

impl Drop for Before {
    fn drop(&mut self) {
        PASS.set(self.0.take());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_pass_before_comes_back() {
        let images = || pass().map(|pass| pass.images.to_vec());
        assert_eq!(images(), None);
        about_items(&[1, 2], || {
            let outer = pass().map(|pass| pass.number);
            about_items(&[3], || assert_eq!(images(), Some(vec![3])));
            assert_eq!(images(), Some(vec![1, 2]));
            assert_eq!(pass().map(|pass| pass.number), outer);
        });
        assert_eq!(images(), None);
    }

    #[test]
    fn a_pass_goes_on_in_the_pool() {
        let images = || pass().map(|pass| pass.images.to_vec());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.unwrap();
        let in_pool = || pool.install(|| on_pool(images));
        assert_eq!(on_pool(images), None);
        about_items(&[1, 2], || {
            assert_eq!(on_pool(images), Some(vec![1, 2]));
            // Another pool, and nothing of the pass stays on its thread.
            assert_eq!(in_pool(), None);
        });
        pool.install(|| about_items(&[3], || assert_eq!(on_pool(images), Some(vec![3]))));
        assert_eq!(in_pool(), None);
        assert_eq!(on_pool(images), None);
    }
}
