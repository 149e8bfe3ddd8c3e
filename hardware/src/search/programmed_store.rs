//! One chip of a store: what its cells hold.

use std::ops::Range;

use crossburn_noise::ChipSeed;
use rayon::prelude::*;

use super::arrays::{self, Making, ScaleArrays};
use super::config::Plan;
use super::entry::Slot;
use super::product::{self, Numbers, Part};
use super::programming::{Place, Programmer, runs};
use super::vector_store::{Copies, itself, unknown};
use super::{EntryId, Hit, QuantizedQueries, SearchConfig, VectorStore};
use crate::HardwareError;
use crate::deploy::{Fidelity, Writes};

/// Cells of one task.
const PIECE: usize = 1 << 14;

/// One chip of a [`VectorStore`]: every search sees the same cells.
///
/// At weight fidelity a search multiplies with the numbers that the cells hold. At array fidelity every query goes through the
/// input converters, the arrays and the output converters of every slice; codes are shifted and added, and the sum of each
/// array is rounded to a whole number of steps, as a digital register holds it.
///
/// Where currents are read exactly and reads do not scatter, the sum of an array is the inner product of the numbers that its
/// cells hold, and is computed as such: without noise it is the integer product itself, on arrays of any size. With output
/// converters or scattering reads, currents are computed in 32 bits. The sum is then exact while
/// `rows · 2^(bits - 1) · 2^(input bits - 1)` is at most 2^20, which is 64 rows for 8 bits each. On larger arrays, sums near
/// full scale may be off by some steps in a million.
///
/// ```
/// use crossburn_hardware::MemoryDevice;
/// use crossburn_hardware::search::{SearchConfig, VectorStore};
/// use crossburn_noise::ChipSeed;
///
/// let config = SearchConfig::new(MemoryDevice::preset("fefet2")?);
/// let mut store = VectorStore::of(&[1.0, 0.5, -0.5, 1.0], 2, &config)?;
/// let mut chip = store.program(ChipSeed::new(7, 17))?;
/// assert_eq!(chip.writes().pulses, 2 * 2 * 8);                 // two entries of two numbers, on four pairs of cells each
/// let entry = store.append(&[0.25, 0.25])?;
/// let writes = chip.follow(&store)?;                           // writes the new entry alone
/// assert_eq!(writes.cells, 2 * 8);
/// assert_eq!(chip.read(entry)?, store.program(ChipSeed::new(7, 17))?.read(entry)?);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProgrammedStore {
    config: SearchConfig,
    plan: Plan,
    dimension: usize,
    chip: ChipSeed,
    slots: Vec<Slot>,
    entries: usize,
    copies: Vec<HeldCopies>,
    writes: Writes,
}

/// The numbers that the cells of one scale hold.
#[derive(Clone, Debug)]
struct HeldCopies {
    pool: usize,
    weight: f32,
    inputs: usize,
    full_scale: Option<f32>,
    unit: f32,
    /// In units of the integers, `[slots, inputs]`; 0 where a slot is free.
    numbers: Vec<f32>,
    /// At array fidelity, where arrays deliver other sums than those of `numbers`.
    arrays: Option<ScaleArrays>,
}

impl ProgrammedStore {
    pub(super) fn new(store: &VectorStore, chip: ChipSeed) -> Result<Self, HardwareError> {
        let mut programmed = Self {
            config: store.config().clone(),
            plan: store.plan().clone(),
            dimension: store.dimension(),
            chip,
            slots: Vec::new(),
            entries: 0,
            copies: store.copies().iter().map(HeldCopies::empty).collect(),
            writes: Writes::default(),
        };
        programmed.follow(store)?;
        Ok(programmed)
    }

    /// Writes what has changed in `store` since: entries that came are programmed, those that were erased are erased with one
    /// pulse per cell. Returns what that took. The cells are then those of a chip that is programmed with the store at once.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for another store than that of this chip, or an earlier state of it: the chip is then as it
    /// was. The errors of device and mapping: the chip then holds no entries, and the next call programs all of them.
    pub fn follow(&mut self, store: &VectorStore) -> Result<Writes, HardwareError> {
        self.require_later(store)?;
        let written = self.write(store);
        match &written {
            Ok(writes) => self.writes.plus(writes),
            Err(_) => {
                // Cells of some scales may have changed already: none of them counts as programmed.
                self.slots.clear();
                self.entries = 0;
                self.copies = store.copies().iter().map(HeldCopies::empty).collect();
            }
        }
        written
    }

    /// Programs and erases what differs from `store`, and returns what that took.
    fn write(&mut self, store: &VectorStore) -> Result<Writes, HardwareError> {
        let slots = store.all_slots();
        let before = |place: usize| self.slots.get(place);
        let changed: Vec<bool> = (0..slots.len())
            .map(|place| before(place) != Some(&slots[place]))
            .collect();
        let erased = |place: &usize| {
            let entry = before(*place).and_then(|slot| slot.entry);
            entry.is_some() && entry != slots[*place].entry
        };
        let erased = (0..slots.len()).filter(erased).count();
        let programmer = Programmer {
            plan: store.plan(),
            variation: store.config().variation,
            chip: self.chip,
            keeps_cells: self.config.fidelity == Fidelity::Array && self.plan.converts(),
        };
        let mut writes = Writes::default();
        for (scale, (held, copies)) in self.copies.iter_mut().zip(store.copies()).enumerate() {
            let cells = (erased * copies.inputs * store.plan().planes) as u64;
            writes.cells += cells;
            writes.pulses += cells;
            held.full_scale = copies.full_scale;
            held.unit = copies.unit(store.plan().stored.level());
            let pieces = held.program(scale, copies, &programmer, slots, &changed)?;
            pieces.iter().for_each(|piece| writes.plus(&piece.writes));
            let known = held.arrays.take();
            if programmer.keeps_cells && !store.is_empty() {
                let making = Making {
                    programmer,
                    scale,
                    copies,
                    slots,
                    changed: &changed,
                    pieces: &pieces,
                };
                held.arrays = Some(ScaleArrays::new(&making, known)?);
            }
        }
        self.slots = slots.to_vec();
        self.entries = store.len();
        Ok(writes)
    }

    /// The `k` best entries for each query, the best first; of equal scores the lower entry first.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for more than there are; [`HardwareError::Conflict`] for queries of another setting, and for
    /// scores that are not finite.
    pub fn search(
        &self,
        queries: &QuantizedQueries,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, HardwareError> {
        let pools = self.copies.iter().map(|held| held.pool);
        product::require_same(pools, queries, self.dimension, self.plan.applied)?;
        product::require_k(k, self.entries)?;
        let scales: Vec<&ScaleArrays> = self.copies.iter().flat_map(|held| &held.arrays).collect();
        let found = match scales.is_empty() {
            true => product::search(&self.parts(), &self.slots, queries, k),
            false => {
                let units = self.copies.iter().map(|held| (held.weight, held.unit));
                let factors = product::Factors::new(units, queries);
                arrays::search(&scales, &self.slots, queries, &factors, k)?
            }
        };
        product::require_found(&found, k)?;
        Ok(found)
    }

    /// The numbers that the cells of every scale hold.
    fn parts(&self) -> Vec<Part<'_>> {
        let level = self.plan.stored.level();
        let array = match self.config.fidelity {
            Fidelity::Weight => None,
            Fidelity::Array => Some(self.plan.hardware.array.rows),
        };
        let copies = self.copies.iter();
        copies.map(|held| held.part(level, array)).collect()
    }

    /// The numbers of one entry as its cells hold them, `[dimension]`, in the units of the vectors: what an in-memory read
    /// through exact converters gives.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] for an entry that is not on this chip; [`HardwareError::Conflict`] where no scale stores the
    /// vector itself.
    pub fn read(&self, entry: EntryId) -> Result<Vec<f32>, HardwareError> {
        let place = self.slots.iter().position(|slot| slot.entry == Some(entry));
        let place = place.ok_or_else(|| unknown(entry, self.entries))?;
        let held = &self.copies[itself(self.copies.iter().map(|held| held.pool))?];
        let numbers = &held.numbers[place * held.inputs..][..held.inputs];
        Ok(numbers.iter().map(|number| number * held.unit).collect())
    }

    /// The effort of programming this chip, including all writes and erasures that it followed.
    pub fn writes(&self) -> Writes {
        self.writes
    }

    /// Which chip it is.
    pub fn chip(&self) -> ChipSeed {
        self.chip
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.entries
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Refuses stores that these cells are not those of.
    fn require_later(&self, store: &VectorStore) -> Result<(), HardwareError> {
        let scales = self.copies.iter().zip(store.copies());
        let mut scales = scales.map(|(held, copies)| (held.full_scale, copies.full_scale));
        let same = (&self.config, self.dimension) == (store.config(), store.dimension())
            && scales.all(|(before, now)| before.is_none() || before == now);
        let slots = store.all_slots();
        let later = |(before, now): (&Slot, &Slot)| {
            now.writes > before.writes
                || (now.writes == before.writes
                    && (now.entry == before.entry || now.entry.is_none()))
        };
        if same && self.slots.len() <= slots.len() && self.slots.iter().zip(slots).all(later) {
            return Ok(());
        }
        Err(HardwareError::conflict(
            "a chip of another store, or of a later state of this one",
            "program the store anew",
        ))
    }
}

/// The cells that one task has programmed.
pub(super) struct Piece {
    /// The effort.
    pub(super) writes: Writes,
    /// The cells of every run of slots and row of arrays.
    pub(super) cells: Vec<PlacedCells>,
}

/// Cells of some slots on one row of arrays.
pub(super) struct PlacedCells {
    /// The row of arrays.
    pub(super) tile: usize,
    /// The first slot.
    pub(super) first: usize,
    /// µS per plane, `[slots, inputs of the row]`.
    pub(super) planes: Vec<Vec<f32>>,
}

impl HeldCopies {
    fn empty(copies: &Copies) -> Self {
        Self {
            pool: copies.pool,
            weight: copies.weight,
            inputs: copies.inputs,
            full_scale: None,
            unit: 0.0,
            numbers: Vec::new(),
            arrays: None,
        }
    }

    fn part(&self, level: f32, array: Option<usize>) -> Part<'_> {
        Part {
            numbers: Numbers::Held(&self.numbers),
            inputs: self.inputs,
            unit: self.unit,
            weight: self.weight,
            level,
            array,
        }
    }

    /// Programs the changed slots, each task some of them.
    fn program(
        &mut self,
        scale: usize,
        copies: &Copies,
        programmer: &Programmer<'_>,
        slots: &[Slot],
        changed: &[bool],
    ) -> Result<Vec<Piece>, HardwareError> {
        let inputs = self.inputs;
        self.numbers.resize(slots.len() * inputs, 0.0);
        let per_task = (PIECE / inputs).max(1);
        let task = |(task, numbers): (usize, &mut [f32])| {
            let first = task * per_task;
            let mut piece = Piece {
                writes: Writes::default(),
                cells: Vec::new(),
            };
            let places = first..first + numbers.len() / inputs;
            for place in places.clone().filter(|place| changed[*place]) {
                numbers[(place - first) * inputs..][..inputs].fill(0.0);
            }
            for (run, count, writes) in runs(slots, changed, places) {
                let rows = &mut numbers[(run - first) * inputs..][..count * inputs];
                for (tile, columns) in programmer.plan.tiles(inputs) {
                    let place = Place {
                        scale,
                        tile,
                        first: run,
                        count,
                        writes,
                    };
                    let held = programmer.hold(copies, columns.clone(), place)?;
                    write_columns(rows, inputs, columns, &held.numbers);
                    piece.writes.plus(&held.writes);
                    if programmer.keeps_cells {
                        piece.cells.push(PlacedCells {
                            tile,
                            first: run,
                            planes: held.cells,
                        });
                    }
                }
            }
            Ok(piece)
        };
        self.numbers
            .par_chunks_mut(per_task * inputs)
            .enumerate()
            .map(task)
            .collect()
    }
}

/// Writes `values`, `[rows, columns]`, into some columns of `rows` of `width` values.
fn write_columns(rows: &mut [f32], width: usize, columns: Range<usize>, values: &[f32]) {
    let rows = rows.chunks_exact_mut(width);
    for (row, values) in rows.zip(values.chunks_exact(columns.len())) {
        row[columns.clone()].copy_from_slice(values);
    }
}
