//! The items that networks are judged on, in batches.

use std::borrow::Cow;
use std::ops::Range;

use burn::tensor::Device;
use crossburn_hardware::layer::about_items;
use crossburn_noise::{Metric, Race, race_order};

use crate::TrainingError;
use crate::task::{Batch, Learn, Task, overlap};

/// The items of a task on a device, in batches, shared by every chip.
///
/// They are uploaded once. A task whose items stay in their files [limits how many are held](Task::held_at_once). The other batches are read
/// again each time they are needed, with the same result.
#[derive(Clone, Debug)]
pub struct Batches<T: Task> {
    task: T,
    device: Device,
    /// The first batches.
    held: Vec<T::Batch>,
    /// The numbers of every batch's items in the task.
    numbers: Vec<Vec<u64>>,
}

impl<T: Task> Batches<T> {
    /// All items of `task`, `batch` at a time, or fewer where it has [a bound](Task::most_at_once).
    ///
    /// # Errors
    /// Those of [`Task::batch`].
    pub fn new(task: &T, batch: usize, device: &Device) -> Result<Self, TrainingError> {
        let items: Vec<usize> = (0..task.items()).collect();
        let batch = batch.min(task.most_at_once()).max(1);
        Self::gather(task, items.chunks(batch), task.held_at_once(), device)
    }

    /// All items of `task` in the order of `race`, at most `batch` at a time, so that every round ends with a batch.
    ///
    /// # Errors
    /// [`TrainingError::RaceItems`] where the race is about another number of items; those of [`Task::batch`].
    pub fn for_race(
        task: &T,
        race: &Race,
        batch: usize,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        require_items(race, task.items())?;
        let order = race_order(race.config().seed, task.items());
        let batch = batch.min(task.most_at_once()).max(1);
        let starts = std::iter::once(&0).chain(race.rounds());
        let rounds = starts.zip(race.rounds());
        let chunks = rounds.flat_map(|(&start, &end)| order[start..end].chunks(batch));
        Self::gather(task, chunks, task.held_at_once(), device)
    }

    /// The items of `chunks`, of which at most `most` are held.
    fn gather<'a>(
        task: &T,
        chunks: impl Iterator<Item = &'a [usize]>,
        most: usize,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        let (mut held, mut numbers, mut items) = (Vec::new(), Vec::new(), 0);
        for chunk in chunks {
            items += chunk.len();
            if items <= most {
                held.push(task.batch(chunk, device)?);
            }
            numbers.push(chunk.iter().map(|&i| i as u64).collect());
        }
        Ok(Self {
            task: task.clone(),
            device: device.clone(),
            held,
            numbers,
        })
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// What networks are judged by on these items.
    pub fn metric(&self) -> Metric {
        self.task.metric()
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.task.items()
    }

    /// Refuses a network whose outputs these items cannot be judged by: one item passes through it.
    ///
    /// # Errors
    /// Those of [`Learn::fits`].
    pub fn check_outputs<N>(&self, network: &N) -> Result<(), TrainingError>
    where
        T: Learn<N>,
    {
        match self.range(0..1).next().transpose()? {
            Some((batch, numbers)) => {
                let output = about_items(numbers, || self.task.forward(network, &batch));
                self.task.fits(&output, &batch)
            }
            None => Ok(()),
        }
    }

    /// The items at the positions `range` and their numbers in the task, in batches; a batch that lies only partly in it is
    /// cut.
    pub(crate) fn range(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = Result<(T::Batch, &[u64]), TrainingError>> {
        let mut start = 0;
        let numbers = self.numbers.iter().enumerate();
        numbers.filter_map(move |(number, numbers)| {
            let part = overlap(start, numbers.len(), &range);
            start += numbers.len();
            let part = part?;
            let batch = self.part(number, part.clone());
            Some(batch.map(|batch| (batch, &numbers[part])))
        })
    }

    /// The item with this number in the task.
    pub(crate) fn item(&self, number: usize) -> Result<Option<T::Batch>, TrainingError> {
        let place = |numbers: &[u64]| numbers.iter().position(|n| *n == number as u64);
        let mut batches = self.numbers.iter().enumerate();
        match batches.find_map(|(batch, numbers)| Some((batch, place(numbers)?))) {
            Some((batch, place)) => self.part(batch, place..place + 1).map(Some),
            None => Ok(None),
        }
    }

    /// The batch with this number.
    fn batch(&self, number: usize) -> Result<Cow<'_, T::Batch>, TrainingError> {
        match self.held.get(number) {
            Some(batch) => Ok(Cow::Borrowed(batch)),
            None => self.made(&self.numbers[number]).map(Cow::Owned),
        }
    }

    /// A part of the batch with this number. Of one that is not held, no other items are read.
    fn part(&self, number: usize, part: Range<usize>) -> Result<T::Batch, TrainingError> {
        let numbers = &self.numbers[number];
        match self.held.get(number) {
            Some(batch) if part.len() == numbers.len() => Ok(batch.clone()),
            Some(batch) => Ok(batch.cut(part)),
            None => self.made(&numbers[part]),
        }
    }

    /// The items with these numbers, from their files.
    fn made(&self, numbers: &[u64]) -> Result<T::Batch, TrainingError> {
        let items: Vec<usize> = numbers.iter().map(|item| *item as usize).collect();
        self.task.batch(&items, &self.device)
    }

    /// Lets all items pass through `network`, until `stop` says to stop.
    ///
    /// # Errors
    /// Those of [`Task::batch`].
    pub fn pass<N>(&self, network: &N, stop: &dyn Fn() -> bool) -> Result<(), TrainingError>
    where
        T: Learn<N>,
    {
        for batch in self.iter() {
            if stop() {
                break;
            }
            self.task.forward(network, &*batch?);
        }
        Ok(())
    }

    /// Number of batches.
    pub(crate) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The batches with the numbers `range`, in order.
    pub(crate) fn some(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = Result<Cow<'_, T::Batch>, TrainingError>> {
        range.map(|number| self.batch(number))
    }

    /// The batches in order, with the numbers of their items in the task.
    pub(crate) fn numbered(
        &self,
    ) -> impl Iterator<Item = Result<(Cow<'_, T::Batch>, &[u64]), TrainingError>> {
        let numbers = self.numbers.iter().map(Vec::as_slice);
        self.iter()
            .zip(numbers)
            .map(|(batch, numbers)| Ok((batch?, numbers)))
    }

    /// The batches in order; an error is one of [`Task::batch`].
    pub fn iter(&self) -> impl Iterator<Item = Result<Cow<'_, T::Batch>, TrainingError>> {
        self.some(0..self.count())
    }
}

/// Refuses a race about another number of items.
pub(crate) fn require_items(race: &Race, items: usize) -> Result<(), TrainingError> {
    let raced = race.config().items;
    if raced == items {
        Ok(())
    } else {
        Err(TrainingError::RaceItems { raced, items })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::AtomicBool;

    use crossburn_hardware::deploy::{Fidelity, Hardware};
    use crossburn_models::{MlpConfig, initialize};
    use crossburn_noise::worst_case::{Auto, Search, worst_case};
    use crossburn_noise::{ChipSeed, Distribution, Variation};

    use super::*;
    use crate::data::digits;
    use crate::testing::classes;
    use crate::{Evaluation, WeightAttack, mean_loss, values};

    #[test]
    fn what_is_not_held_is_made_again_and_counts_the_same() {
        let device = Device::flex();
        let task = classes(&digits(3, 0, 100));
        let widths = vec![784, 8, 10];
        let network = initialize(MlpConfig { widths, bits: None }.init(&device), 2);
        let items: Vec<usize> = (0..100).rev().collect();
        let of = |most| Batches::gather(&task, items.chunks(16), most, &device).unwrap();
        let (all, some, none) = (of(usize::MAX), of(40), of(0));
        let held = [&all, &some, &none].map(|batches| batches.held.len());
        assert_eq!(held, [7, 2, 0]);
        let variation = Variation::from(Distribution::gaussian(0.3));
        let hardware = Hardware::preset("papers").unwrap();
        let judged = |batches: &Batches<_>| {
            let evaluation = Evaluation::new(&network, None, batches.clone()).side_by_side(2);
            let (fab, stop) = (evaluation.varied(&variation), AtomicBool::new(false));
            let chips = evaluation.population(&fab, 5, 0..4, |_, _| {}, &stop);
            let hits = evaluation.hits(&fab, ChipSeed::new(5, 0), 10..50).unwrap();
            let mapped = evaluation.mapped(&hardware, Fidelity::Array, batches);
            let mapped = mapped.unwrap();
            let programmed = mapped.fab(Fidelity::Array).unwrap();
            let programmed = evaluation.chip(&programmed, ChipSeed::new(5, 0)).unwrap();
            let loss = mean_loss(&network, batches).unwrap();
            let detail = evaluation.clean_in_detail().unwrap();
            (detail, chips.unwrap(), hits, programmed, loss)
        };
        let attacked = |batches: &Batches<_>| {
            let attack = WeightAttack::new(&network, None, batches.clone()).unwrap();
            let bounds = attack.bounds(0.02).unwrap();
            let search = Search::Auto(Auto { budget: 8 });
            let on = |_: &_| ControlFlow::Continue(());
            let found = worst_case(&attack, &bounds, &search, 1, None, on).unwrap();
            let margins = attack.certify(&bounds).unwrap().margins;
            (found.score, found.deviations, margins)
        };
        let pixels = |batches: &Batches<_>| -> Vec<f32> {
            let item: Option<crate::Labelled> = batches.item(7).unwrap();
            assert!(batches.item(100).unwrap().is_none());
            values(item.unwrap().inputs).unwrap()
        };
        for batches in [&some, &none] {
            assert_eq!(judged(batches), judged(&all));
            assert_eq!(attacked(batches), attacked(&all));
            assert_eq!(pixels(batches), pixels(&all));
        }
    }
}
