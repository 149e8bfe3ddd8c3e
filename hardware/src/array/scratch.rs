//! Memory that a thread keeps between products, so that hot loops do not ask the system for pages.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

thread_local! {
    static KEPT: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Buffers that a thread keeps.
const BUFFERS: usize = 8;
/// The most values of a buffer that is kept, 4 MiB.
const LIMIT: usize = 1 << 20;

/// Some values, which hold anything at first; the memory goes back to its thread.
pub(super) struct Scratch {
    memory: Vec<f32>,
    length: usize,
}

impl Scratch {
    pub(super) fn new(length: usize) -> Self {
        let kept = KEPT.with_borrow_mut(|kept| {
            // The smallest that is large enough, else any.
            let fits = |(at, memory): (usize, &Vec<f32>)| {
                (memory.len() >= length).then_some((memory.len(), at))
            };
            let best = kept.iter().enumerate().filter_map(fits).min();
            match best {
                Some((_, at)) => Some(kept.swap_remove(at)),
                None => kept.pop(),
            }
        });
        let mut memory = kept.unwrap_or_default();
        if memory.len() < length {
            memory.resize(length, 0.0);
        }
        Self { memory, length }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        if memory.len() <= LIMIT {
            KEPT.with_borrow_mut(|kept| {
                if kept.len() < BUFFERS {
                    kept.push(memory);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_never_shared() {
        let mut first = Scratch::new(100);
        let mut second = Scratch::new(50);
        first.fill(1.0);
        second.fill(2.0);
        assert!(first.iter().all(|v| *v == 1.0) && first.len() == 100);
        let place = first.as_ptr();
        drop(first);
        let third = Scratch::new(60);
        assert_eq!((third.as_ptr(), third.len()), (place, 60));
    }
}
