//! What the samples of each group of people are taken for.

use std::sync::atomic::{AtomicBool, Ordering};

use crossburn_hardware::deploy::Fab;
use crossburn_hardware::layer::about_items;
use crossburn_models::Classifier;
use crossburn_noise::{ChipSeed, over_cores};

use super::{Classification, finite_values, largest};
use crate::search::{GroupCounts, ServedItem};
use crate::task::Task;
use crate::{Batches, TrainingError};

/// Groups of people are few; more are something else, such as patients.
const MOST_GROUPS: usize = 16;

/// Counts by group, label and what it is taken for.
type Counts = Vec<Vec<Vec<u64>>>;

/// How the chips of a population serve items and their groups.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    /// The share of the items that each chip is right on.
    pub(super) shares: Vec<f64>,
    /// What the items of each group are taken for by all chips.
    pub(super) groups: Vec<GroupCounts>,
    /// What the chips do with every item.
    pub(super) items: Vec<ServedItem>,
}

/// What one chip does.
struct OfChip {
    counts: Counts,
    /// Whether it is right, by item.
    right: Vec<bool>,
}

/// The groups of the samples of a part.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// Their names, sorted.
    names: Vec<String>,
    /// The number of the group of every item.
    of_items: Vec<usize>,
    /// Labels, each of which every group has.
    labels: usize,
}

impl Groups {
    /// The groups of `task`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for samples without groups, for one group or too many, and for a group that lacks a label, which has no rates then.
    pub(super) fn of(task: &Classification) -> Result<Self, TrainingError> {
        let refuse = |problem: String, remedy: &str| TrainingError::data("groups", problem, remedy);
        let samples = task.samples();
        let Some(origins) = &samples.origins else {
            return Err(refuse(
                "nothing says which group a sample belongs to".to_string(),
                "use data with groups, such as skin-lesions, or leave groups out",
            ));
        };
        let of_samples: Vec<&str> = origins.names().collect();
        let name_of = |item: usize| of_samples[task.place(item)];
        let items = task.items();
        let mut names: Vec<String> = (0..items).map(|item| name_of(item).to_string()).collect();
        names.sort();
        names.dedup();
        if !(2..=MOST_GROUPS).contains(&names.len()) {
            return Err(refuse(
                format!("the items that are judged are of {} groups", names.len()),
                "use data with 2 to 16 groups, or leave groups out",
            ));
        }
        let of_items = (0..items).map(|item| {
            let name = name_of(item);
            names.partition_point(|other| other.as_str() < name)
        });
        let of_items: Vec<usize> = of_items.collect();
        // Rates of classes are compared between two groups alone.
        let compared = if names.len() == 2 { &names[..] } else { &[] };
        for (group, name) in compared.iter().enumerate() {
            for label in 0..samples.classes {
                let mut own = of_items.iter().enumerate();
                if !own.any(|(item, of)| *of == group && usize::from(task.label(item)) == label) {
                    return Err(refuse(
                        format!(
                            "group `{name}` has no item of the class {} among those that are judged",
                            samples.class_name(label)
                        ),
                        "judge more items: raise data.test, or data.validation where judged_on is validation",
                    ));
                }
            }
        }
        Ok(Self {
            names,
            of_items,
            labels: samples.classes,
        })
    }

    /// Their names, sorted.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// How the chips `0..chips` of the population `seed` serve the items of each group; nothing where `stop` was set meanwhile.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`], those of the fab, and of a device that cannot give a result back.
    pub(super) fn served<C: Classifier>(
        &self,
        fab: &dyn Fab<C>,
        (seed, chips): (u64, u64),
        items: &Batches<Classification>,
        stop: &AtomicBool,
    ) -> Result<Option<Served>, TrainingError> {
        let of_chips = over_cores(0..chips, &|chip| -> Result<Option<OfChip>, TrainingError> {
            match stop.load(Ordering::Relaxed) {
                true => Ok(None),
                false => {
                    let network = fab.chip(ChipSeed::new(seed, chip))?;
                    let found = self.of_chip(&network, items);
                    found.map(Some).map_err(|error| error.of_chip(chip))
                }
            }
        })?;
        let of_chips: Option<Vec<OfChip>> = of_chips.into_iter().collect();
        let Some(of_chips) = of_chips else {
            return Ok(None);
        };
        let mut all = self.no_counts();
        let of_items = self.of_items.iter();
        let mut served: Vec<ServedItem> = of_items
            .map(|group| ServedItem {
                group: *group,
                right: 0,
            })
            .collect();
        let mut shares = Vec::new();
        for chip in of_chips {
            let pairs = all.iter_mut().flatten().flatten();
            for (sum, count) in pairs.zip(chip.counts.into_iter().flatten().flatten()) {
                *sum += count;
            }
            for (item, right) in served.iter_mut().zip(&chip.right) {
                item.right += u64::from(*right);
            }
            let right = chip.right.iter().filter(|right| **right).count();
            shares.push(right as f64 / chip.right.len().max(1) as f64);
        }
        let groups = all.into_iter().map(GroupCounts::new);
        Ok(Some(Served {
            shares,
            groups: groups.collect::<Result<_, _>>()?,
            items: served,
        }))
    }

    fn no_counts(&self) -> Counts {
        vec![vec![vec![0; self.labels]; self.labels]; self.names.len()]
    }

    fn of_chip<C: Classifier>(
        &self,
        network: &C,
        items: &Batches<Classification>,
    ) -> Result<OfChip, TrainingError> {
        let mut found = OfChip {
            counts: self.no_counts(),
            right: vec![false; self.of_items.len()],
        };
        let mut seen = 0;
        for numbered in items.numbered() {
            let (batch, numbers) = numbered?;
            let logits = about_items(numbers, || network.forward(batch.inputs.clone()));
            let [_, outputs] = logits.dims();
            let rows = finite_values(logits, 1).map_err(|error| error.at_item(seen))?;
            seen += numbers.len();
            let asked = batch.labels.iter().zip(numbers);
            for (row, (label, number)) in rows.chunks(outputs).zip(asked) {
                let (label, number) = (usize::from(*label), *number as usize);
                found.right[number] = largest(row) == Some(label);
                // An output that no class has counts as none.
                let row = &row[..outputs.min(self.labels)];
                if let Some(taken) = largest(row) {
                    found.counts[self.of_items[number]][label][taken] += 1;
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;
    use crossburn_hardware::WeightPlan;
    use crossburn_hardware::deploy::VariationFab;
    use crossburn_models::{Mlp, MlpConfig, initialize};
    use crossburn_noise::{Distribution, Variation};

    use super::*;
    use crate::Evaluation;
    use crate::data::{digits, skin_lesions};
    use crate::search::unfairness;

    #[test]
    fn groups_add_up_to_what_all_chips_are_judged_by() {
        let device = Device::flex();
        let task = Classification::new(skin_lesions(2, 1 << 40, 200));
        let groups = Groups::of(&task).unwrap();
        assert_eq!(groups.names(), ["dark", "light"]);
        let widths = vec![3 * 32 * 32, 8, 4];
        let network = initialize(MlpConfig { widths, bits: None }.init(&device), 1);
        let items = Batches::new(&task, 64, &device).unwrap();
        let evaluation = Evaluation::new(&network, WeightPlan::default(), items.clone());
        let variation = Variation::from(Distribution::gaussian(0.3));
        let fab: VariationFab<'_, _> = evaluation.varied(&variation);
        let go_on = AtomicBool::new(false);
        let served = groups.served::<Mlp>(&fab, (5, 3), &items, &go_on);
        let served = served.unwrap().unwrap();
        // Another way to judge a chip finds the same.
        let chips = (0..3).map(|chip| evaluation.chip(&fab, ChipSeed::new(5, chip)).unwrap());
        let chips: Vec<f64> = chips.collect();
        assert_eq!(served.shares, chips);
        let right: f64 = chips.iter().map(|share| share * 200.0).sum();
        let found: u64 = served.groups.iter().map(GroupCounts::right).sum();
        assert_eq!(found as f64, right.round());
        let items_of_all: u64 = served.groups.iter().map(GroupCounts::items).sum();
        assert_eq!(items_of_all, 600);
        assert!(unfairness(&served.groups).is_some());
        for (number, group) in served.groups.iter().enumerate() {
            let own = served.items.iter().filter(|item| item.group == number);
            assert_eq!(own.map(|item| item.right).sum::<u64>(), group.right());
        }
        let stopped = groups.served::<Mlp>(&fab, (5, 3), &items, &AtomicBool::new(true));
        assert_eq!(stopped.unwrap(), None);
    }

    #[test]
    fn what_has_no_groups_is_refused() {
        let refused = |task: &Classification| Groups::of(task).unwrap_err().to_string();
        let plain = refused(&Classification::new(digits(1, 0, 20)));
        assert!(plain.contains("nothing says which group"), "{plain}");
        let few = refused(&Classification::new(skin_lesions(2, 1 << 40, 7)));
        assert!(few.contains("has no item of the class"), "{few}");
    }
}
