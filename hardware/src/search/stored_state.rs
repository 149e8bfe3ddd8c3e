//! A store as a file keeps it.

use std::collections::BTreeSet;

use super::entry::Slot;
use super::{EntryId, SearchConfig, VectorStore};
use crate::HardwareError;

/// Counts above these are damage: no store gets there, and they could not be counted up for long.
const MOST_ENTRIES: u64 = 1 << 62;
const MOST_WRITES: u32 = 1 << 30;

/// All that a [`VectorStore`] holds beside its setting and dimension.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoredState {
    /// Integers at each scale, `[slots, numbers of a copy]`.
    pub codes: Vec<Vec<i8>>,
    /// The value of the largest integer at each scale; `None` before the first vector.
    pub full_scales: Vec<Option<f32>>,
    /// The entry of each slot; `None` where it is free.
    pub entries: Vec<Option<EntryId>>,
    /// How often each slot was written.
    pub writes: Vec<u32>,
    /// The name of the next entry.
    pub next: EntryId,
    /// Numbers that were clipped.
    pub clipped: u64,
}

impl VectorStore {
    /// The state of this store that a file keeps.
    pub fn state(&self) -> StoredState {
        StoredState {
            codes: self
                .copies
                .iter()
                .map(|copies| copies.codes.clone())
                .collect(),
            full_scales: self.copies.iter().map(|copies| copies.full_scale).collect(),
            entries: self.slots.iter().map(|slot| slot.entry).collect(),
            writes: self.slots.iter().map(|slot| slot.writes).collect(),
            next: EntryId::new(self.next),
            clipped: self.clipped,
        }
    }

    /// The store that `state` was taken from.
    ///
    /// # Errors
    /// Those of [`Self::new`], and [`HardwareError::Conflict`] for a state that no store of this setting and dimension has.
    pub fn restored(
        dimension: usize,
        config: &SearchConfig,
        state: StoredState,
    ) -> Result<Self, HardwareError> {
        let mut store = Self::new(dimension, config)?;
        store.check_state(&state)?;
        for ((copies, codes), full_scale) in store
            .copies
            .iter_mut()
            .zip(state.codes)
            .zip(state.full_scales)
        {
            (copies.codes, copies.full_scale) = (codes, full_scale);
        }
        let slots = state.entries.into_iter().zip(state.writes);
        store.slots = slots
            .map(|(entry, writes)| Slot { entry, writes })
            .collect();
        for (place, slot) in store.slots.iter().enumerate() {
            match slot.entry {
                Some(entry) => drop(store.places.insert(entry, place)),
                None => drop(store.free.insert(place)),
            }
        }
        (store.next, store.clipped) = (state.next.get(), state.clipped);
        Ok(store)
    }

    fn check_state(&self, state: &StoredState) -> Result<(), HardwareError> {
        let damaged = |what: String| {
            Err(HardwareError::conflict(
                format!("a state of a store with {what}"),
                "use the setting that it was saved with, or take an older copy of it",
            ))
        };
        let (slots, scales) = (state.entries.len(), self.copies.len());
        if state.writes.len() != slots {
            return damaged(format!(
                "{slots} slots and {} counts of writes",
                state.writes.len()
            ));
        }
        if (state.codes.len(), state.full_scales.len()) != (scales, scales) {
            return damaged(format!("{} scales in place of {scales}", state.codes.len()));
        }
        let level = self.plan.stored.level() as u8;
        for (copies, codes) in self.copies.iter().zip(&state.codes) {
            if codes.len() != slots * copies.inputs {
                let needed = slots * copies.inputs;
                return damaged(format!("{} integers in place of {needed}", codes.len()));
            }
            if let Some(code) = codes.iter().find(|code| code.unsigned_abs() > level) {
                return damaged(format!("the integer {code} of {} bits", self.config.bits));
            }
        }
        for (copies, full_scale) in self.copies.iter().zip(&state.full_scales) {
            let allowed = match full_scale {
                Some(scale) => {
                    *scale >= f32::MIN_POSITIVE
                        && scale.is_finite()
                        && copies.full_scale.is_none_or(|given| given == *scale)
                }
                None => slots == 0,
            };
            if !allowed {
                return damaged(format!("the full scale {full_scale:?}"));
            }
        }
        let mut known = BTreeSet::new();
        for (entry, writes) in state.entries.iter().zip(&state.writes) {
            if *writes == 0 {
                return damaged("a slot that was never written".to_string());
            }
            if *writes > MOST_WRITES {
                return damaged(format!("a slot that was written {writes} times"));
            }
            let Some(entry) = entry else { continue };
            if *entry >= state.next {
                let next = state.next;
                return damaged(format!("the entry {entry}, although the next is {next}"));
            }
            if !known.insert(*entry) {
                return damaged(format!("the entry {entry} in two slots"));
            }
        }
        if state.next.get() > MOST_ENTRIES {
            return damaged(format!("{} as its next entry", state.next));
        }
        match self.config.capacity {
            Some(capacity) if known.len() > capacity => damaged(format!(
                "{} entries and a capacity of {capacity}",
                known.len()
            )),
            _ => Ok(()),
        }
    }
}
