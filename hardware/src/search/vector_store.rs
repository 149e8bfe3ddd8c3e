//! A store of vectors in integers, which all of its chips share.

use std::collections::{BTreeMap, BTreeSet};

use crossburn_noise::ChipSeed;

use super::config::Plan;
use super::entry::Slot;
use super::integers::{largest_magnitude, pooled};
use super::product::{self, Part};
use super::{EntryId, Hit, ProgrammedStore, QuantizedQueries, SearchConfig};
use crate::HardwareError;

/// Vectors that lie in arrays as integers, one slot of cells per entry.
///
/// The first vectors settle what the largest integer stands for, unless the setting says it: pass many at once
/// ([`Self::of`], [`Self::extend`]). Later numbers beyond that are clipped and counted ([`Self::clipped`]). Erased slots are
/// used again, the lowest first; entries keep their names.
///
/// ```
/// use crossburn_hardware::MemoryDevice;
/// use crossburn_hardware::search::{SearchConfig, VectorStore};
///
/// let config = SearchConfig { capacity: Some(2), ..SearchConfig::new(MemoryDevice::preset("rram4")?) };
/// let mut store = VectorStore::of(&[1.0, 0.5, -0.5, 1.0], 2, &config)?;
/// assert!(store.append(&[0.1, 0.2]).is_err());                                  // full
/// let first = store.entries().next().expect("two entries");
/// store.erase(first)?;
/// assert_ne!(store.append(&[0.1, 0.2])?, first);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct VectorStore {
    pub(super) config: SearchConfig,
    pub(super) plan: Plan,
    dimension: usize,
    pub(super) copies: Vec<Copies>,
    pub(super) slots: Vec<Slot>,
    pub(super) free: BTreeSet<usize>,
    pub(super) places: BTreeMap<EntryId, usize>,
    pub(super) next: u64,
    pub(super) clipped: u64,
}

/// The copies of all vectors at one scale.
#[derive(Clone, Debug)]
pub(super) struct Copies {
    /// Averaged numbers.
    pub(super) pool: usize,
    /// Weight in the score.
    pub(super) weight: f32,
    /// Numbers of a copy.
    pub(super) inputs: usize,
    /// The value of the largest integer, once it is settled.
    pub(super) full_scale: Option<f32>,
    /// `[slots, inputs]`.
    pub(super) codes: Vec<i8>,
}

/// Vectors in integers at one scale.
struct Rounded {
    full_scale: f32,
    /// `[vectors, inputs]`.
    codes: Vec<i8>,
    /// Numbers beyond the full scale.
    clipped: u64,
}

impl VectorStore {
    /// An empty store of vectors of `dimension` numbers.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] and [`HardwareError::Conflict`] for a setting that cannot be.
    pub fn new(dimension: usize, config: &SearchConfig) -> Result<Self, HardwareError> {
        let plan = config.check(dimension)?;
        let copies = config.scales.iter().map(|scale| Copies {
            pool: scale.pool,
            weight: scale.weight,
            inputs: dimension / scale.pool,
            full_scale: config.full_scale,
            codes: Vec::new(),
        });
        Ok(Self {
            config: config.clone(),
            plan,
            dimension,
            copies: copies.collect(),
            slots: Vec::new(),
            free: BTreeSet::new(),
            places: BTreeMap::new(),
            next: 0,
            clipped: 0,
        })
    }

    /// A store of `vectors`, `[entries, dimension]` row by row.
    ///
    /// # Errors
    /// Those of [`Self::new`] and [`Self::extend`].
    pub fn of(
        vectors: &[f32],
        dimension: usize,
        config: &SearchConfig,
    ) -> Result<Self, HardwareError> {
        let mut store = Self::new(dimension, config)?;
        store.extend(vectors)?;
        Ok(store)
    }

    /// Stores one vector.
    ///
    /// # Errors
    /// Those of [`Self::extend`].
    pub fn append(&mut self, vector: &[f32]) -> Result<EntryId, HardwareError> {
        if vector.len() != self.dimension {
            return Err(wrong_length("vector", vector.len(), self.dimension));
        }
        let entry = EntryId::new(self.next);
        self.extend(vector)?;
        Ok(entry)
    }

    /// Stores `vectors`, `[entries, dimension]` row by row, all or none, and returns their names.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for another number of values, for values that are not finite, for a vector that is zeros or is
    /// rounded to them, and for more vectors than fit. The store is then as it was.
    pub fn extend(&mut self, vectors: &[f32]) -> Result<Vec<EntryId>, HardwareError> {
        require_vectors("vector", vectors, self.dimension)?;
        let count = vectors.len() / self.dimension;
        if let Some(capacity) = self.config.capacity
            && self.len() + count > capacity
        {
            return Err(HardwareError::limit(
                "entries of the store",
                self.len() + count,
                format!("its capacity of {capacity}"),
                "erase entries, or raise capacity",
            ));
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let rounded: Vec<Rounded> = self
            .copies
            .iter()
            .map(|copies| self.round(copies, vectors))
            .collect();
        self.require_something(&rounded, count)?;
        let names = self.next..self.next + count as u64;
        self.next = names.end;
        let names: Vec<EntryId> = names.map(EntryId::new).collect();
        let places: Vec<usize> = names.iter().map(|entry| self.take_slot(*entry)).collect();
        for (copies, rounded) in self.copies.iter_mut().zip(rounded) {
            copies.full_scale = Some(rounded.full_scale);
            self.clipped += rounded.clipped;
            copies.codes.resize(self.slots.len() * copies.inputs, 0);
            for (place, codes) in places.iter().zip(rounded.codes.chunks_exact(copies.inputs)) {
                copies.codes[place * copies.inputs..][..copies.inputs].copy_from_slice(codes);
            }
        }
        Ok(names)
    }

    /// The integers of `vectors` at one scale.
    fn round(&self, copies: &Copies, vectors: &[f32]) -> Rounded {
        let pooled = pooled(vectors, copies.pool);
        let settled = || full_scale(&pooled, self.config.clip_percentile);
        let full_scale = copies.full_scale.unwrap_or_else(settled);
        let code = |x: &f32| self.plan.stored.nearest(*x, full_scale) as i8;
        let beyond = |x: &&f32| x.abs() > full_scale;
        Rounded {
            full_scale,
            codes: pooled.iter().map(code).collect(),
            clipped: pooled.iter().filter(beyond).count() as u64,
        }
    }

    /// Refuses vectors that are nothing but zeros once they are rounded: no query would find them.
    fn require_something(&self, rounded: &[Rounded], count: usize) -> Result<(), HardwareError> {
        let scales = || rounded.iter().zip(&self.copies);
        let nothing = |vector: &usize| {
            scales().all(|(rounded, copies)| {
                let codes = &rounded.codes[vector * copies.inputs..][..copies.inputs];
                codes.iter().all(|code| *code == 0)
            })
        };
        let (Some(vector), Some(first)) = ((0..count).find(nothing), rounded.first()) else {
            return Ok(());
        };
        Err(HardwareError::limit(
            format!("vector {vector}, rounded to {} bits", self.config.bits),
            "0, 0, ..",
            format!(
                "what the full scale {} of the store tells from 0",
                first.full_scale
            ),
            "store vectors of about the same length, or give full_scale",
        ))
    }

    /// Erases an entry. Its slot is free for another.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] for an entry that is not in the store.
    pub fn erase(&mut self, entry: EntryId) -> Result<(), HardwareError> {
        let place = self.place(entry)?;
        self.places.remove(&entry);
        self.slots[place].entry = None;
        self.free.insert(place);
        for copies in &mut self.copies {
            copies.codes[place * copies.inputs..][..copies.inputs].fill(0);
        }
        Ok(())
    }

    /// One chip: every cell is programmed with draws of `chip` of its own, which hold for all queries.
    ///
    /// The cells of an entry depend on the chip, on the slot and on how often the slot was written, not on the other entries.
    ///
    /// # Errors
    /// Those of device and mapping.
    pub fn program(&self, chip: ChipSeed) -> Result<ProgrammedStore, HardwareError> {
        ProgrammedStore::new(self, chip)
    }

    /// The `k` entries of the largest integer inner product with each query, the best first: what a chip without any error
    /// finds.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for more than there are, [`HardwareError::Conflict`] for queries of another setting.
    pub fn exact(
        &self,
        queries: &QuantizedQueries,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, HardwareError> {
        let parts: Vec<Part<'_>> = self
            .copies
            .iter()
            .map(|copies| Part {
                numbers: product::Numbers::Codes(&copies.codes),
                inputs: copies.inputs,
                unit: copies.unit(self.plan.stored.level()),
                weight: copies.weight,
                level: self.plan.stored.level(),
                array: None,
            })
            .collect();
        let pools = self.copies.iter().map(|copies| copies.pool);
        product::require_same(pools, queries, self.dimension, self.plan.applied)?;
        product::require_k(k, self.len())?;
        let found = product::search(&parts, &self.slots, queries, k);
        product::require_found(&found, k)?;
        Ok(found)
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Slots of cells that were ever used: entries, and erased places that wait for others.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The setting.
    pub fn config(&self) -> &SearchConfig {
        &self.config
    }

    /// The entries in ascending order.
    pub fn entries(&self) -> impl Iterator<Item = EntryId> + '_ {
        self.places.keys().copied()
    }

    /// Whether an entry is in the store.
    pub fn contains(&self, entry: EntryId) -> bool {
        self.places.contains_key(&entry)
    }

    /// Numbers that were beyond the full scale when they were stored, copies of all scales counted.
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// The numbers of one entry as ideal cells hold them: rounded, `[dimension]`.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] for an entry that is not in the store; [`HardwareError::Conflict`] where no scale stores the
    /// vector itself.
    pub fn rounded(&self, entry: EntryId) -> Result<Vec<f32>, HardwareError> {
        let place = self.place(entry)?;
        let copies = &self.copies[itself(self.copies.iter().map(|copies| copies.pool))?];
        let unit = copies.unit(self.plan.stored.level());
        let codes = &copies.codes[place * copies.inputs..][..copies.inputs];
        Ok(codes.iter().map(|code| f32::from(*code) * unit).collect())
    }

    /// The checked setting.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The copies of every scale.
    pub(super) fn copies(&self) -> &[Copies] {
        &self.copies
    }

    /// The slots with their entries.
    pub(super) fn all_slots(&self) -> &[Slot] {
        &self.slots
    }

    fn place(&self, entry: EntryId) -> Result<usize, HardwareError> {
        self.places
            .get(&entry)
            .copied()
            .ok_or_else(|| unknown(entry, self.len()))
    }

    /// The lowest free slot, or a new one, for `entry`.
    fn take_slot(&mut self, entry: EntryId) -> usize {
        let place = self.free.pop_first().unwrap_or_else(|| {
            self.slots.push(Slot {
                entry: None,
                writes: 0,
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[place];
        slot.entry = Some(entry);
        slot.writes += 1;
        self.places.insert(entry, place);
        place
    }
}

impl Copies {
    /// The value of the integer 1; 0 before the first vector.
    pub(super) fn unit(&self, level: f32) -> f32 {
        self.full_scale.unwrap_or(0.0) / level
    }
}

/// The place of the scale whose copies are the vectors themselves.
pub(super) fn itself(mut pools: impl Iterator<Item = usize>) -> Result<usize, HardwareError> {
    pools.position(|pool| pool == 1).ok_or_else(|| {
        HardwareError::conflict(
            "reading an entry of a store whose scales are all averages",
            "add the scale { pool = 1 }",
        )
    })
}

/// No entry of this name.
pub(super) fn unknown(entry: EntryId, len: usize) -> HardwareError {
    HardwareError::Unknown {
        kind: "entry",
        name: entry.to_string(),
        known: format!("the {len} entries of the store"),
    }
}

/// The full scale of the first vectors: their largest magnitude, or the percentile of their magnitudes that is above 0.
fn full_scale(vectors: &[f32], percentile: Option<f64>) -> f32 {
    let largest = largest_magnitude(vectors).max(f32::MIN_POSITIVE);
    let Some(percentile) = percentile else {
        return largest;
    };
    let mut magnitudes: Vec<f32> = vectors.iter().map(|x| x.abs()).collect();
    let rank = (percentile / 100.0 * magnitudes.len() as f64).ceil() as usize;
    let rank = rank.clamp(1, magnitudes.len()) - 1;
    let (_, found, _) = magnitudes.select_nth_unstable_by(rank, f32::total_cmp);
    match *found >= f32::MIN_POSITIVE {
        true => *found,
        false => largest,
    }
}

fn wrong_length(what: &str, found: usize, dimension: usize) -> HardwareError {
    HardwareError::limit(
        format!("numbers of a {what}"),
        found,
        format!("the dimension {dimension} of the store"),
        "use the encoder that the store was made with",
    )
}

/// Refuses what are no vectors of `dimension` numbers, `what` each.
pub(super) fn require_vectors(
    what: &str,
    vectors: &[f32],
    dimension: usize,
) -> Result<(), HardwareError> {
    if !vectors.len().is_multiple_of(dimension) {
        return Err(wrong_length(what, vectors.len() % dimension, dimension));
    }
    for (index, vector) in vectors.chunks_exact(dimension).enumerate() {
        if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
            return Err(HardwareError::limit(
                format!("number {at} of {what} {index}"),
                vector[at],
                "the finite numbers",
                "look at what the encoder gives for this text",
            ));
        }
        if vector.iter().all(|x| *x == 0.0) {
            return Err(HardwareError::limit(
                format!("{what} {index}"),
                "0, 0, ..",
                "the vectors with a number other than 0",
                "leave out texts of which the encoder knows nothing",
            ));
        }
    }
    Ok(())
}
