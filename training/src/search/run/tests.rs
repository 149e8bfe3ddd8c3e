use crossburn_noise::Better;

use super::*;
use crate::search::{
    BUILT_IN, Choice, Measure, ScoreConfig, SpaceConfig, best, best_so_far, built_in,
};

fn space(text: &str) -> Space {
    Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap()
}

/// The sum of the numbers of a design as its quality, and their product as its cost.
struct Sums(Vec<Measure>);

fn sums() -> Sums {
    Sums(vec![
        Measure::new("quality", "", Better::Higher),
        Measure::new("cost", "", Better::Lower),
    ])
}

impl Judge for Sums {
    fn measures(&self) -> &[Measure] {
        &self.0
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let numbers: Vec<f64> = space
            .axes()
            .iter()
            .flat_map(|axis| space.chosen(design, &axis.name).unwrap())
            .filter_map(Choice::number)
            .collect();
        Ok(Judged::Measured(vec![
            numbers.iter().sum(),
            numbers.iter().product(),
        ]))
    }
}

fn score(measure: &str) -> Score {
    let config = ScoreConfig::Measure {
        measure: measure.to_string(),
    };
    Score::new(config, &sums().0).unwrap()
}

/// Says these proposals, one after the other.
struct Said(Vec<Proposal>);

impl Proposer for Said {
    fn propose(&mut self, _: &Space, _: &[Trial]) -> Result<Proposal, TrainingError> {
        Ok(self.0.remove(0))
    }
}

#[test]
fn every_proposal_counts_and_only_new_designs_are_judged() {
    let space = space(
        "name = \"a\"\nnetwork.x = [1, 2, 3]\nnetwork.y = [1, 2]\n\
         [[constraint]]\nkind = \"order\"\nsmaller = \"x\"\nlarger = \"y\"",
    );
    let design = |x: u16, y: u16| Proposal::Design(space.design(vec![x, y]).unwrap());
    let mut said = Said(vec![
        design(0, 0),
        Proposal::Invalid("no object".to_string()),
        design(0, 0),
        design(2, 0),
        design(1, 1),
        design(0, 1),
        Proposal::End("no more".to_string()),
    ]);
    let score = score("quality");
    let limits = [Limit::new("cost", 3.0, &sums().0).unwrap()];
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &limits,
        budget: 10,
    };
    let mut cache = BTreeMap::new();
    let mut seen = 0;
    let found = search
        .run(&sums(), &mut said, &mut cache, &mut |trials| {
            seen = trials.len();
            ControlFlow::Continue(())
        })
        .unwrap();
    let scores: Vec<f64> = found.trials.iter().map(|trial| trial.score).collect();
    assert_eq!(scores, [2.0, -1.0, 2.0, -1.0, -1.0, 3.0]);
    let repeated: Vec<bool> = found.trials.iter().map(|trial| trial.repeated).collect();
    assert_eq!(repeated, [false, false, true, false, false, false]);
    assert_eq!(found.ended.as_deref(), Some("no more"));
    assert_eq!(seen, 6);
    // The one that breaks the constraint is not judged.
    assert_eq!(cache.len(), 3);
    let refused = |number: usize| found.trials[number].refused.clone().unwrap();
    assert!(
        refused(3).contains("`x` 3 is above `y` 1"),
        "{}",
        refused(3)
    );
    assert!(refused(4).contains("above the limit 3"), "{}", refused(4));
    assert_eq!(best_so_far(&found.trials), [(1, 2.0), (6, 3.0)]);
    assert_eq!(best(&found.trials), Some(&found.trials[5]));
}

#[test]
fn what_is_not_finite_is_never_a_score() {
    struct Odd(Vec<Measure>, f64);
    impl Judge for Odd {
        fn measures(&self) -> &[Measure] {
            &self.0
        }
        fn judge(&self, _: &Space, _: &Design) -> Result<Judged, TrainingError> {
            Ok(Judged::Measured(vec![self.1, 1.0]))
        }
    }
    let space = space("name = \"a\"\nnetwork.x = [1]");
    let score = score("quality");
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &[],
        budget: 1,
    };
    for odd in [f64::NAN, f64::INFINITY] {
        let mut proposer = built_in("random", 1).unwrap();
        let mut cache = BTreeMap::new();
        let go = &mut |_: &[Trial]| ControlFlow::Continue(());
        let found = search
            .run(&Odd(sums().0, odd), &mut *proposer, &mut cache, go)
            .unwrap();
        assert_eq!(found.trials[0].score, INVALID_SCORE);
        assert!(best(&found.trials).is_none());
        // Nor is it kept, since JSON has no such numbers.
        let reason = format!("quality is {odd}");
        assert_eq!(found.trials[0].refused.as_ref(), Some(&reason));
        let kept: Vec<Judged> = cache.into_values().collect();
        assert_eq!(kept, [Judged::Refused(reason)]);
    }
}

#[test]
fn a_judge_that_leaves_out_a_measure_stops_the_search() {
    struct Short(Vec<Measure>);
    impl Judge for Short {
        fn measures(&self) -> &[Measure] {
            &self.0
        }
        fn judge(&self, _: &Space, _: &Design) -> Result<Judged, TrainingError> {
            Ok(Judged::Measured(vec![1.0]))
        }
    }
    let space = space("name = \"a\"\nnetwork.x = [1]");
    let score = score("quality");
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &[],
        budget: 1,
    };
    let mut proposer = built_in("random", 1).unwrap();
    let mut cache = BTreeMap::new();
    let go = &mut |_: &[Trial]| ControlFlow::Continue(());
    let judge = Short(sums().0);
    let error = search
        .run(&judge, &mut *proposer, &mut cache, go)
        .unwrap_err();
    let part = "it gives 1 values for 2 measures";
    assert!(error.to_string().contains(part), "{error}");
    assert!(cache.is_empty());
    // A kept evaluation of other measures is no better.
    cache.insert(space.design(vec![0]).unwrap(), Judged::Measured(Vec::new()));
    let mut proposer = built_in("random", 1).unwrap();
    search
        .run(&sums(), &mut *proposer, &mut cache, go)
        .unwrap_err();
}

#[test]
fn designs_are_scored_without_being_proposed() {
    let space = space(
        "name = \"a\"\nnetwork.x = [1, 2, 3]\nnetwork.y = [1, 2]\n\
         [[constraint]]\nkind = \"order\"\nsmaller = \"x\"\nlarger = \"y\"",
    );
    let score = score("quality");
    let limits = [Limit::new("cost", 3.0, &sums().0).unwrap()];
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &limits,
        budget: 1,
    };
    let of = |text: &str| {
        let number = |at: usize| text[at..=at].parse::<u16>().unwrap() - 1;
        let design = space.design(vec![number(0), number(1)]).unwrap();
        search.score_of(&sums(), &design).unwrap()
    };
    // By hand: 1 + 2; x above y breaks the constraint, and 2 · 2 the limit.
    assert_eq!([of("12"), of("21"), of("22")], [Some(3.0), None, None]);
}

/// The scores of a proposer with a seed, and the designs that were judged.
fn searched(
    name: &str,
    seed: u64,
    budget: usize,
    cache: &mut BTreeMap<Design, Judged>,
) -> Vec<Trial> {
    let space = space(
        "name = \"a\"\nnetwork.layers = [2, 4, 6]\nnetwork.channels = { times = \"layers\", of = [1, 2, 4] }\n\
         network.kernels = { times = 3, of = [3, 5, 7] }\nhardware.array = [64, 128]\n\
         [[constraint]]\nkind = \"sum\"\naxis = \"channels\"\nat_most = 20",
    );
    let score = score("quality");
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &[],
        budget,
    };
    let mut proposer = built_in(name, seed).unwrap();
    let go = &mut |_: &[Trial]| ControlFlow::Continue(());
    let found = search.run(&sums(), &mut *proposer, cache, go).unwrap();
    for trial in &found.trials {
        space.check(trial.design.as_ref().unwrap()).unwrap();
    }
    found.trials
}

#[test]
fn a_seed_repeats_a_search_and_a_cache_does_not_change_it() {
    for name in BUILT_IN {
        let mut cache = BTreeMap::new();
        let first = searched(name, 1, 60, &mut cache);
        assert_eq!(first.len(), 60, "{name}");
        let kept = cache.len();
        assert_eq!(searched(name, 1, 60, &mut cache), first, "{name}");
        assert_eq!(cache.len(), kept, "{name}");
        // A longer search begins as a shorter one.
        let longer = searched(name, 1, 80, &mut cache);
        assert_eq!(longer[..60], first[..], "{name}");
        assert_ne!(searched(name, 2, 60, &mut cache), first, "{name}");
    }
}

#[test]
fn searches_that_learn_find_more_than_random_designs() {
    let median = |name: &str| {
        let mut bests: Vec<f64> = (0..9)
            .map(|seed| {
                let trials = searched(name, seed, 150, &mut BTreeMap::new());
                best(&trials).unwrap().score
            })
            .collect();
        bests.sort_by(f64::total_cmp);
        bests[4]
    };
    let random = median("random");
    for name in ["evolution", "tpe", "reinforce"] {
        assert!(median(name) > random, "{name}: {} {random}", median(name));
    }
}

#[test]
fn the_prior_begins_with_a_textbook_and_knows_nothing_of_hidden_names() {
    let space = space(
        "name = \"a\"\nnetwork.channels = { times = 6, of = [32, 64, 128, 256, 512] }\n\
         network.kernels = { times = 6, of = [3, 5, 7] }",
    );
    let mut prior = built_in("heuristic", 1).unwrap();
    let Proposal::Design(first) = prior.propose(&space, &[]).unwrap() else {
        panic!("a design");
    };
    assert_eq!(
        space.text(&first),
        "channels=32,64,128,256,512,512 kernels=3,3,3,3,3,3"
    );
    let hidden = space.anonymous();
    let firsts = (0..4).map(|seed| {
        let mut prior = built_in("heuristic", seed).unwrap();
        prior.propose(&hidden, &[]).unwrap()
    });
    let firsts: Vec<Proposal> = firsts.collect();
    assert!(
        firsts[1..].iter().all(|first| *first != firsts[0]),
        "{firsts:?}"
    );
}

/// [`Sums`], whose cost is known before, and which counts what it judges.
struct Slow(Sums, std::sync::atomic::AtomicUsize);

impl Judge for Slow {
    fn measures(&self) -> &[Measure] {
        self.0.measures()
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.judge(space, design)
    }

    fn foresee(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Option<Vec<Option<f64>>>, TrainingError> {
        Ok(match self.0.judge(space, design)? {
            Judged::Measured(values) => Some(vec![None, Some(values[1])]),
            Judged::Refused(_) => None,
        })
    }
}

#[test]
fn a_design_that_is_known_to_break_a_limit_is_not_judged() {
    let space = space("name = \"a\"\nnetwork.x = [1, 2, 3]\nnetwork.y = [1, 2]");
    let design = |x: u16, y: u16| Proposal::Design(space.design(vec![x, y]).unwrap());
    let said = || Said(vec![design(0, 0), design(2, 1), design(1, 0), design(2, 1)]);
    let score = score("quality");
    let limits = [Limit::new("cost", 3.0, &sums().0).unwrap()];
    let search = Search {
        space: &space,
        view: &space,
        score: &score,
        limits: &limits,
        budget: 4,
    };
    let slow = Slow(sums(), Default::default());
    let mut cache = BTreeMap::new();
    let mut on = |_: &[Trial]| ControlFlow::Continue(());
    let found = search.run(&slow, &mut said(), &mut cache, &mut on).unwrap();
    let scores: Vec<f64> = found.trials.iter().map(|trial| trial.score).collect();
    assert_eq!(scores, [2.0, -1.0, 3.0, -1.0]);
    let refused = found.trials[1].refused.as_deref().unwrap();
    assert!(refused.contains("cost 6.0000e0"), "{refused}");
    assert!(found.trials[3].repeated);
    // A refusal depends on the limits, so it is not kept.
    assert_eq!((slow.1.into_inner(), cache.len()), (2, 2));
    // A judge that foresees nothing refuses the same, later.
    let quick = search
        .run(&sums(), &mut said(), &mut BTreeMap::new(), &mut on)
        .unwrap();
    let scores: Vec<f64> = quick.trials.iter().map(|trial| trial.score).collect();
    assert_eq!(scores, [2.0, -1.0, 3.0, -1.0]);
}
