//! What the samples of each group of people are taken for.

use crossburn_hardware::deploy::Fab;
use crossburn_hardware::layer::about_items;
use crossburn_models::Classifier;
use crossburn_noise::{ChipSeed, over_cores};

use super::{Classification, largest};
use crate::search::GroupCounts;
use crate::task::Task;
use crate::weight_gradients::values;
use crate::{Batches, TrainingError};

/// Groups of people are few; more are something else, such as patients.
const MOST_GROUPS: usize = 16;

/// Counts by group, label and what it is taken for.
type Counts = Vec<Vec<Vec<u64>>>;

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
        let name_of = |item: usize| {
            let origin = origins.samples[task.place(item)];
            origins.groups[origin.group as usize].as_str()
        };
        let items = task.items();
        let mut names: Vec<String> = (0..items).map(|item| name_of(item).to_string()).collect();
        names.sort();
        names.dedup();
        if !(2..=MOST_GROUPS).contains(&names.len()) {
            return Err(refuse(
                format!("the test items are of {} groups", names.len()),
                "use data with 2 to 16 groups, or leave groups out",
            ));
        }
        let of_items = (0..items).map(|item| {
            let name = name_of(item);
            names.partition_point(|other| other.as_str() < name)
        });
        let of_items: Vec<usize> = of_items.collect();
        for (group, name) in names.iter().enumerate() {
            for label in 0..samples.classes {
                let mut own = of_items.iter().enumerate();
                if !own.any(|(item, of)| *of == group && usize::from(task.label(item)) == label) {
                    return Err(refuse(
                        format!(
                            "group `{name}` has no test item of the class {}",
                            samples.class_name(label)
                        ),
                        "take more test items",
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

    /// What the items of each group are taken for by the chips `0..chips` of the population `seed`, added up.
    ///
    /// # Errors
    /// Those of the fab, and of a device that cannot give a result back.
    pub(super) fn counts<C: Classifier>(
        &self,
        fab: &dyn Fab<C>,
        (seed, chips): (u64, u64),
        items: &Batches<Classification>,
    ) -> Result<Vec<GroupCounts>, TrainingError> {
        let of_chips = over_cores(0..chips, &|chip| -> Result<Counts, TrainingError> {
            let network = fab.chip(ChipSeed::new(seed, chip))?;
            let mut counts = vec![vec![vec![0; self.labels]; self.labels]; self.names.len()];
            for found in items.numbered() {
                let (batch, numbers) = found?;
                let logits = about_items(numbers, || network.forward(batch.inputs.clone()));
                let [_, outputs] = logits.dims();
                let rows = values(logits)?;
                let asked = batch.labels.iter().zip(numbers);
                for (row, (label, number)) in rows.chunks(outputs).zip(asked) {
                    // An output that no class has counts as none.
                    let row = &row[..outputs.min(self.labels)];
                    if let Some(taken) = largest(row) {
                        let group = self.of_items[*number as usize];
                        counts[group][usize::from(*label)][taken] += 1;
                    }
                }
            }
            Ok(counts)
        })?;
        let mut all = vec![vec![vec![0; self.labels]; self.labels]; self.names.len()];
        for counts in of_chips {
            let pairs = all.iter_mut().flatten().flatten();
            for (sum, count) in pairs.zip(counts.into_iter().flatten().flatten()) {
                *sum += count;
            }
        }
        all.into_iter().map(GroupCounts::new).collect()
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
        let counts = groups.counts::<Mlp>(&fab, (5, 3), &items).unwrap();
        let chips = (0..3).map(|chip| evaluation.chip(&fab, ChipSeed::new(5, chip)).unwrap());
        let right: f64 = chips.map(|share| share * 200.0).sum();
        let found: u64 = counts.iter().map(GroupCounts::right).sum();
        assert_eq!(found as f64, right.round());
        assert_eq!(counts.iter().map(GroupCounts::items).sum::<u64>(), 600);
        assert!(unfairness(&counts).is_some());
    }

    #[test]
    fn what_has_no_groups_is_refused() {
        let refused = |task: &Classification| Groups::of(task).unwrap_err().to_string();
        let plain = refused(&Classification::new(digits(1, 0, 20)));
        assert!(plain.contains("nothing says which group"), "{plain}");
        let few = refused(&Classification::new(skin_lesions(2, 1 << 40, 7)));
        assert!(few.contains("has no test item of the class"), "{few}");
    }
}
