//! The groups that samples belong to, and the order in which samples were recorded.

use crossburn_checkpoints::Checksum;

/// Where a sample comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of its group, such as a patient.
    pub group: u32,
    /// The number of its sequence: samples of one group and one label that were recorded one after the other, or the slices of one volume. A group
    /// may have several sequences.
    pub sequence: u32,
    /// Its place in the sequence: a count from 0, or the number of a slice.
    pub place: u32,
}

/// Where the samples of a set come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The names of the groups, by number.
    pub groups: Vec<String>,
    /// The origin of every sample.
    pub samples: Vec<Origin>,
}

impl Origins {
    /// The origins of samples that are in the order of their recording. A sequence ends where the next sample has another `group` or another
    /// `episode`.
    pub fn in_order<'a, E: PartialEq>(samples: impl IntoIterator<Item = (&'a str, E)>) -> Self {
        let mut origins = Self::default();
        let mut known = std::collections::HashMap::new();
        let mut last: Option<(u32, E)> = None;
        for (name, episode) in samples {
            let group = *known.entry(name.to_string()).or_insert_with(|| {
                origins.groups.push(name.to_string());
                origins.groups.len() as u32 - 1
            });
            let origin = match (origins.samples.last(), &last) {
                (Some(before), Some(last)) if last.0 == group && last.1 == episode => Origin {
                    place: before.place + 1,
                    ..*before
                },
                (before, _) => Origin {
                    group,
                    sequence: before.map_or(0, |before| before.sequence + 1),
                    place: 0,
                },
            };
            origins.samples.push(origin);
            last = Some((group, episode));
        }
        origins
    }

    /// The name of each sample's group, in the order of the samples.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.samples.iter().map(|origin| self.name_of(*origin))
    }

    fn name_of(&self, origin: Origin) -> &str {
        &self.groups[origin.group as usize]
    }

    /// The origins of the samples at `indices`.
    pub(super) fn gather(&self, indices: &[usize]) -> Self {
        Self {
            groups: self.groups.clone(),
            samples: indices.iter().map(|index| self.samples[*index]).collect(),
        }
    }

    /// The origins of the first `count` samples, and of the rest.
    pub(super) fn split_at(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.samples.split_at(count);
        let part = |samples: &[Origin]| Self {
            groups: self.groups.clone(),
            samples: samples.to_vec(),
        };
        (part(first), part(rest))
    }

    /// Adds the origins of the samples at `places` to the checksum `sum`.
    pub(crate) fn add_to(&self, sum: &mut Checksum, places: impl Iterator<Item = usize>) {
        for place in places {
            let origin = self.samples[place];
            sum.add(self.name_of(origin).as_bytes());
            for number in [origin.sequence, origin.place] {
                sum.add(&number.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_end_where_group_or_label_changes() {
        let rows = [("a", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 1), ("a", 1)];
        let origins = Origins::in_order(rows);
        let found: Vec<_> = origins
            .samples
            .iter()
            .map(|origin| (origin.group, origin.sequence, origin.place))
            .collect();
        // Worked by hand. The last row begins a new sequence, although its group and label occurred before.
        let expected = [
            (0, 0, 0),
            (0, 0, 1),
            (0, 1, 0),
            (1, 2, 0),
            (1, 2, 1),
            (0, 3, 0),
        ];
        assert_eq!(found, expected);
        assert_eq!(origins.groups, ["a", "b"]);
        assert!(origins.names().eq(rows.map(|(name, _)| name)));
        let (first, rest) = origins.split_at(4);
        assert_eq!(rest, origins.gather(&[4, 5]));
        assert_eq!(first.samples.len(), 4);
    }
}
