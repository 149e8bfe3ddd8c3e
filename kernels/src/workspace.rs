//! Scratch memory of each thread. It is kept between calls, so that hot loops do not ask the system for pages.

use std::cell::Cell;

thread_local! {
    static KEPT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The most values that a thread keeps (64 MiB). Larger workspaces are returned to the system.
const LIMIT: usize = 16 << 20;

/// Calls `work` with `length` values of scratch memory. Their content is arbitrary.
pub(crate) fn with_workspace<R>(length: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    // The memory is taken out while it is in use. A nested call finds none and makes its own.
    let mut memory = KEPT.take();
    if memory.len() < length {
        memory.resize(length, 0.0);
    }
    let result = work(&mut memory[..length]);
    if memory.len() <= LIMIT {
        KEPT.set(memory);
    }
    result
}
