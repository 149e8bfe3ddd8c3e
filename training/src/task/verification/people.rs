//! Who is on the images, and which pairs of images are compared.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crossburn_noise::{Philox, path_hash};

use crate::TrainingError;
use crate::data::Samples;

/// The people of some samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct People {
    /// Group → number of the person → its samples, each in order.
    groups: Vec<BTreeMap<u32, Vec<usize>>>,
}

/// Two samples of one group that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) group: usize,
    pub(super) people: [u32; 2],
    pub(super) places: [usize; 2],
}

impl People {
    /// The people of the samples at `places`.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] where nobody knows whose the samples are, and for a person in two groups.
    pub(super) fn of(samples: &Samples, places: &[usize]) -> Result<Self, TrainingError> {
        let Some(origins) = &samples.origins else {
            return Err(TrainingError::setting(
                "data.source",
                "samples of nobody",
                "one that knows people: faces, faces:DIR, or a table with group=COLUMN",
            ));
        };
        let mut groups = vec![BTreeMap::<u32, Vec<usize>>::new(); samples.classes];
        let mut group_of = BTreeMap::new();
        for place in places {
            let person = origins.samples[*place].group;
            let group = usize::from(samples.labels[*place]);
            let first = *group_of.entry(person).or_insert(group);
            if first != group {
                return Err(TrainingError::setting(
                    "data.source",
                    format!(
                        "a set in which {} is in the groups {} and {}",
                        origins.groups[person as usize],
                        samples.class_name(first),
                        samples.class_name(group)
                    ),
                    "one with each person in one group",
                ));
            }
            groups[group].entry(person).or_default().push(*place);
        }
        Ok(Self { groups })
    }

    /// The people, by number, in the order of their numbers.
    pub(super) fn numbers(&self) -> BTreeSet<u32> {
        self.groups
            .iter()
            .flat_map(|group| group.keys().copied())
            .collect()
    }

    /// The samples of the people `chosen`, and those of the others, in order.
    pub(super) fn parted(&self, chosen: &BTreeSet<u32>) -> [Vec<usize>; 2] {
        let mut parts = [Vec::new(), Vec::new()];
        for (person, places) in self.groups.iter().flatten() {
            parts[usize::from(!chosen.contains(person))].extend(places);
        }
        parts.iter_mut().for_each(|part| part.sort_unstable());
        parts
    }

    /// About the share of the people of every group, at random: two at least where three are left, so that they can be compared; nobody of a
    /// smaller group, so that there is someone to learn from.
    pub(super) fn share_of_each_group(&self, share: f64, seed: u64) -> BTreeSet<u32> {
        let mut chosen = BTreeSet::new();
        for (number, group) in self.groups.iter().enumerate() {
            let all: Vec<u32> = group.keys().copied().collect();
            let wanted = (share * all.len() as f64).round() as usize;
            let count = match all.len() {
                0..5 => 0,
                people => wanted.clamp(2, people - 3),
            };
            let stream = Philox::new(seed ^ path_hash("people that are held back"), number as u64);
            let order = stream.permutation(all.len());
            chosen.extend(order.into_iter().take(count).map(|place| all[place]));
        }
        chosen
    }

    /// Up to `count` different pairs of one person, and as many of two people, in every group that has both.
    pub(super) fn pairs(&self, count: usize, seed: u64) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (group, people) in self.groups.iter().enumerate() {
            let stream = |purpose: &str| Philox::new(seed ^ path_hash(purpose), group as u64);
            let members: Vec<(u32, usize)> = people
                .iter()
                .flat_map(|(person, places)| places.iter().map(|place| (*person, *place)))
                .collect();
            let mated: Vec<[(u32, usize); 2]> = mated(&members);
            let others = others_of(&members);
            let count = count.min(mated.len()).min(others);
            let mut add = |[first, second]: [(u32, usize); 2]| {
                pairs.push(Pair {
                    group,
                    people: [first.0, second.0],
                    places: [first.1, second.1],
                });
            };
            let chosen = stream("pairs of one person").permutation(mated.len());
            chosen
                .into_iter()
                .take(count)
                .for_each(|place| add(mated[place]));
            for [first, second] in
                drawn_others(&members, count, others, &stream("pairs of two people"))
            {
                add([members[first], members[second]]);
            }
        }
        pairs
    }

    /// The first group with a person that has no pairs of both kinds.
    pub(super) fn without_pairs(&self, pairs: &[Pair]) -> Option<usize> {
        let paired: BTreeSet<usize> = pairs.iter().map(|pair| pair.group).collect();
        let missing = |group: &usize| !self.groups[*group].is_empty() && !paired.contains(group);
        (0..self.groups.len()).find(missing)
    }
}

/// All pairs of samples of one person; those of a person stand together.
fn mated(members: &[(u32, usize)]) -> Vec<[(u32, usize); 2]> {
    let mut pairs = Vec::new();
    for of_one in members.chunk_by(|a, b| a.0 == b.0) {
        for (place, first) in of_one.iter().enumerate() {
            pairs.extend(of_one[place + 1..].iter().map(|second| [*first, *second]));
        }
    }
    pairs
}

/// How many pairs of samples of two people there are.
fn others_of(members: &[(u32, usize)]) -> usize {
    let pairs = |count: usize| count * count.saturating_sub(1) / 2;
    let own = members
        .chunk_by(|a, b| a.0 == b.0)
        .map(|own| pairs(own.len()));
    pairs(members.len()) - own.sum::<usize>()
}

/// `count` different pairs of members of two people, out of `all` that there are.
fn drawn_others(
    members: &[(u32, usize)],
    count: usize,
    all: usize,
    stream: &Philox,
) -> Vec<[usize; 2]> {
    // Where most are wanted, drawing them one by one would meet the same again and again.
    if 2 * count > all {
        let mut pairs = Vec::with_capacity(all);
        for first in 0..members.len() {
            let later = first + 1..members.len();
            pairs.extend(
                later
                    .filter(|second| members[*second].0 != members[first].0)
                    .map(|second| [first, second]),
            );
        }
        let order = stream.permutation(pairs.len());
        return order
            .into_iter()
            .take(count)
            .map(|place| pairs[place])
            .collect();
    }
    let (mut found, mut seen, mut draw) = (Vec::new(), HashSet::new(), 0);
    while found.len() < count {
        let [a, b] = [0, 1].map(|turn| stream.below(draw + turn, members.len() as u32) as usize);
        draw += 2;
        let pair = [a.min(b), a.max(b)];
        if members[a].0 != members[b].0 && seen.insert(pair) {
            found.push(pair);
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::{FacesConfig, faces};

    fn people(count: usize, images: usize) -> (Samples, People) {
        let config = FacesConfig {
            images,
            balanced: true,
            ..FacesConfig::default()
        };
        let samples = faces(1, 0, count * images, &config);
        let places: Vec<usize> = (0..samples.len()).collect();
        let people = People::of(&samples, &places).unwrap();
        (samples, people)
    }

    #[test]
    fn pairs_are_different_and_stay_in_their_group() {
        let (samples, people) = people(24, 4);
        // Three people of four images: 18 mated pairs and 48 others in every group.
        for (count, expected) in [(10, 10), (18, 18), (100, 18)] {
            let pairs = people.pairs(count, 7);
            assert_eq!(pairs.len(), 8 * 2 * expected);
            let different: HashSet<[usize; 2]> = pairs.iter().map(|pair| pair.places).collect();
            assert_eq!(different.len(), pairs.len());
            let owner = |place: usize| samples.origins.as_ref().unwrap().samples[place].group;
            for pair in &pairs {
                assert!(pair.places[0] != pair.places[1]);
                assert_eq!(pair.places.map(owner), pair.people);
                let group = |place: usize| usize::from(samples.labels[place]);
                assert_eq!(pair.places.map(group), [pair.group; 2]);
            }
            let mated = pairs.iter().filter(|pair| pair.people[0] == pair.people[1]);
            assert_eq!(mated.count(), 8 * expected);
            assert_eq!(pairs, people.pairs(count, 7));
        }
        assert_ne!(people.pairs(10, 7), people.pairs(10, 8));
        assert_eq!(people.without_pairs(&people.pairs(3, 1)), None);
    }

    #[test]
    fn every_group_holds_people_back_and_none_is_on_both_sides() {
        let (samples, people) = people(80, 3);
        let chosen = people.share_of_each_group(0.2, 5);
        // Two of ten people of each group.
        assert_eq!(chosen.len(), 16);
        let [held, rest] = people.parted(&chosen);
        assert_eq!((held.len(), rest.len()), (48, 192));
        let owners = |places: &[usize]| People::of(&samples, places).unwrap().numbers();
        assert!(owners(&held).is_disjoint(&owners(&rest)));
        assert_eq!(owners(&held), chosen);
        // A small share leaves two, a large one three to learn from.
        assert_eq!(people.share_of_each_group(0.01, 5).len(), 16);
        assert_eq!(people.share_of_each_group(0.99, 5).len(), 56);
    }

    #[test]
    fn samples_that_cannot_be_compared_are_refused() {
        let (mut samples, people) = people(8, 2);
        // One person of each group has no other to be told from.
        assert!(people.pairs(5, 1).is_empty());
        assert_eq!(people.without_pairs(&[]), Some(0));
        samples.labels[1] = 3;
        let message = People::of(&samples, &[0, 1]).unwrap_err().to_string();
        assert!(
            message.contains("r0 is in the groups g1 and g4"),
            "{message}"
        );
        samples.origins = None;
        let message = People::of(&samples, &[0]).unwrap_err().to_string();
        assert!(message.contains("samples of nobody"), "{message}");
    }
}
