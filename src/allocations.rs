//! The memory that a piece of work takes: the bytes that it asks the allocator for.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use mimalloc::MiMalloc;

/// The allocator of the command line. Tensors come and go by the megabyte: an allocator that keeps pages saves their first touch, up to half of a step.
///
/// It counts bytes while `peak_of` runs some work, and at no other time: all threads share the counters.
#[derive(Debug)]
pub struct CountedAllocator;

/// Whether bytes are counted.
static COUNTS: AtomicBool = AtomicBool::new(false);
/// Bytes that were taken since counting began, less those that were given back.
static HELD: AtomicI64 = AtomicI64::new(0);
/// The most of these.
static PEAK: AtomicI64 = AtomicI64::new(0);
/// One piece of work is counted at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Counts `bytes` more, or fewer if negative.
fn count(bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(held, Ordering::Relaxed);
    }
}

/// A layout's size. No layout is larger than `isize::MAX`.
fn size(layout: &Layout) -> i64 {
    layout.size() as i64
}

#[allow(unsafe_code, reason = "an allocator deals in pointers")]
// SAFETY: every call goes to `MiMalloc` unchanged, and counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for CountedAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(&layout));
        // SAFETY: the caller keeps the contract.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(&layout));
        // SAFETY: the caller keeps the contract.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-size(&layout));
        // SAFETY: the caller keeps the contract.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - size(&layout));
        // SAFETY: the caller keeps the contract.
        unsafe { MiMalloc.realloc(pointer, layout, new_size) }
    }
}

/// Stops counting, also when the work panics.
struct Counting;

impl Drop for Counting {
    fn drop(&mut self) {
        COUNTS.store(false, Ordering::Relaxed);
    }
}

/// What `work` gives, and the most bytes that it held at a time; `None` instead of bytes in a program with another allocator.
///
/// Bytes are those that were asked for, so the number depends neither on the system nor on what the allocator keeps. All threads are counted: run no other
/// work meanwhile. What `work` gives counts as held by it.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let counting = Counting;
    let probe = black_box(vec![1u8; 64]);
    let counted = HELD.load(Ordering::Relaxed) >= 64;
    drop(probe);
    HELD.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    let found = work();
    let peak = PEAK.load(Ordering::Relaxed);
    drop(counting);
    (found, counted.then(|| peak.max(0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls of the allocator itself, because tests run with another one and at the same time as others.
    #[test]
    #[allow(unsafe_code, reason = "an allocator deals in pointers")]
    fn the_peak_is_the_most_that_was_held_at_a_time() {
        let bytes =
            |count: usize| Layout::array::<u8>(count).unwrap_or_else(|_| Layout::new::<u8>());
        let (held, peak) = peak_of(|| {
            // SAFETY: each block is given back with the layout that it was taken with.
            unsafe {
                let first = CountedAllocator.alloc(bytes(1000));
                let first = CountedAllocator.realloc(first, bytes(1000), 3000);
                let second = CountedAllocator.alloc_zeroed(bytes(500));
                assert_eq!(*second.add(499), 0);
                CountedAllocator.dealloc(first, bytes(3000));
                let third = CountedAllocator.alloc(bytes(200));
                let held = HELD.load(Ordering::Relaxed);
                CountedAllocator.dealloc(second, bytes(500));
                CountedAllocator.dealloc(third, bytes(200));
                held
            }
        });
        assert_eq!(held, 700);
        // The allocator of tests is not this one: its peak is not known.
        assert_eq!(peak, None);
        assert_eq!(PEAK.load(Ordering::Relaxed), 3500);
        assert_eq!(HELD.load(Ordering::Relaxed), 0);
        // Nothing is counted afterwards.
        // SAFETY: as above.
        unsafe { CountedAllocator.dealloc(CountedAllocator.alloc(bytes(10)), bytes(10)) };
        assert_eq!(PEAK.load(Ordering::Relaxed), 3500);
    }
}
