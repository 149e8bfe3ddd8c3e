//! What every search promises, on linear classifiers.

use std::ops::ControlFlow;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{NoiseError, Philox};

/// A linear classifier. Its general surrogate is the margin, counted down to zero; one directed surrogate per class is the lead
/// of the right class over that class, counted down to zero.
struct Linear {
    classes: usize,
    weights: Vec<f32>,
    images: Vec<Vec<f32>>,
    labels: Vec<usize>,
}

impl Linear {
    /// Random images, of which most are right: the labels are those of the weights, but for a tenth.
    fn random(seed: u64, inputs: usize, classes: usize, images: usize) -> Self {
        let draw = |stream: u64, count: usize| {
            let mut values = vec![0.0; count];
            Philox::new(seed, stream).fill_normal(&mut values);
            values
        };
        let mut linear = Self {
            classes,
            weights: draw(0, inputs * classes),
            images: (0..images).map(|i| draw(1 + i as u64, inputs)).collect(),
            labels: vec![0; images],
        };
        let zero = vec![0.0; inputs * classes];
        for (index, image) in linear.images.iter().enumerate() {
            let logits = linear.logits(image, &zero);
            let best = (0..classes).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            let shift = usize::from(index % 10 == 9);
            linear.labels[index] = (best.unwrap() + shift) % classes;
        }
        linear
    }

    fn bounds(&self, bound: f32) -> DeviationBounds {
        let largest = self.weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        let entries = EntryBounds {
            low: vec![-bound * largest; self.weights.len()],
            high: vec![bound * largest; self.weights.len()],
        };
        DeviationBounds::from_boxes([("w".to_string(), entries)].into()).unwrap()
    }

    fn logits(&self, image: &[f32], deviation: &[f32]) -> Vec<f64> {
        let class = |class: usize| {
            let terms = image.iter().enumerate().map(|(input, x)| {
                let at = input * self.classes + class;
                f64::from(*x) * (f64::from(self.weights[at]) + f64::from(deviation[at]))
            });
            terms.sum()
        };
        (0..self.classes).map(class).collect()
    }

    /// Lead, and the class that is led or leads, of one image.
    fn lead(&self, index: usize, deviation: &[f32]) -> (f64, usize) {
        let logits = self.logits(&self.images[index], deviation);
        let label = self.labels[index];
        let others = (0..self.classes).filter(|class| *class != label);
        let other = others
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap();
        (logits[label] - logits[other], other)
    }
}

impl Linear {
    /// What `surrogate` compares the right class of an image with, and by how much the right class leads.
    fn rival(&self, index: usize, deviation: &[f32], surrogate: usize) -> (f64, usize) {
        let Some(class) = surrogate.checked_sub(1) else {
            return self.lead(index, deviation);
        };
        let logits = self.logits(&self.images[index], deviation);
        (logits[self.labels[index]] - logits[class], class)
    }
}

impl Objective for Linear {
    type Error = NoiseError;

    fn surrogates(&self) -> Surrogates {
        Surrogates {
            general: 1,
            directed: self.classes,
        }
    }

    fn judge(&self, deviations: &Deviations, surrogate: usize) -> Result<Judged, NoiseError> {
        let images = 0..self.images.len();
        let leads = images
            .clone()
            .map(|index| self.lead(index, &deviations["w"]).0);
        let rivals = images.map(|index| self.rival(index, &deviations["w"], surrogate).0);
        let n = self.images.len() as f64;
        Ok(Judged {
            // Not `max`, which hides a NaN.
            loss: rivals
                .map(|lead| if lead < 0.0 { 0.0 } else { lead })
                .sum::<f64>()
                / n,
            score: leads.filter(|lead| *lead > 0.0).count() as f64 / n,
        })
    }

    fn gradient(
        &self,
        deviations: &Deviations,
        surrogate: usize,
    ) -> Result<(Judged, Deviations), NoiseError> {
        let mut gradient = vec![0.0f32; self.weights.len()];
        for (index, image) in self.images.iter().enumerate() {
            let (lead, other) = self.rival(index, &deviations["w"], surrogate);
            if lead > 0.0 {
                for (input, x) in image.iter().enumerate() {
                    gradient[input * self.classes + self.labels[index]] += x;
                    gradient[input * self.classes + other] -= x;
                }
            }
        }
        Ok((
            self.judge(deviations, surrogate)?,
            [("w".to_string(), gradient)].into(),
        ))
    }
}

fn on(_: &SearchState) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn run(linear: &Linear, bound: f32, search: Search) -> WorstCase {
    worst_case(linear, &linear.bounds(bound), &search, 5, None, on).unwrap()
}

fn sign(steps: usize, expand: usize, restarts: usize) -> Search {
    Search::SignGradient(SignGradient {
        steps,
        expand,
        restarts,
        random: 0,
    })
}

/// A short search that also judges random deviations.
fn with_random(random: usize) -> Search {
    Search::SignGradient(SignGradient {
        steps: 4,
        expand: 1,
        restarts: 2,
        random,
    })
}

fn lagrangian(rounds: usize) -> Search {
    Search::Lagrangian(Lagrangian {
        rounds,
        ..Lagrangian::default()
    })
}

fn auto(budget: usize) -> Search {
    Search::Auto(Auto { budget })
}

/// The walks that a search can be, of `steps` steps.
fn walks(steps: usize) -> [Search; 3] {
    [
        Search::Apgd(Apgd {
            steps,
            ..Apgd::default()
        }),
        Search::Momentum(Momentum {
            steps,
            ..Momentum::default()
        }),
        Search::RawGradient(RawGradient {
            steps,
            ..RawGradient::default()
        }),
    ]
}

fn all() -> [Search; 10] {
    let [apgd, momentum, raw] = walks(9);
    [
        auto(40),
        apgd,
        momentum,
        raw,
        sign(7, 2, 2),
        with_random(3),
        lagrangian(4),
        Search::SingleStep(SingleStep {}),
        Search::Corners(Corners { draws: 9 }),
        Search::MonteCarlo(MonteCarlo { draws: 9 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_search_leaves_the_box_or_does_worse_than_nothing(
        seed in 0u64..1000, inputs in 1usize..20, classes in 2usize..6, bound in 0.0f32..0.5,
    ) {
        let linear = Linear::random(seed, inputs, classes, 30);
        let bounds = linear.bounds(bound);
        for search in all() {
            let found = run(&linear, bound, search);
            prop_assert!(bounds.contain(&found.deviations), "{}", search.name());
            prop_assert!(found.score <= found.clean);
            let judged = linear.judge(&found.deviations, found.surrogate).unwrap();
            prop_assert_eq!(judged.score, found.score);
            prop_assert_eq!(judged.loss, found.loss);
            let inside = found.path.iter().filter(|point| point.inside);
            let lowest = inside.map(|point| point.score).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(lowest, found.score);
            prop_assert_eq!(found.evaluations, found.path.len() as u64);
            let most = search.most_evaluations(bounds.entries(), linear.surrogates());
            prop_assert!(found.evaluations <= most && !found.interrupted);
            // Only the Lagrangian search passes through what is not admissible.
            let passes = matches!(search, Search::Lagrangian(_) | Search::Auto(_));
            prop_assert!(passes || found.path.iter().all(|point| point.inside));
        }
    }

    #[test]
    fn a_search_is_never_weaker_than_the_random_deviations_that_it_contains(
        seed in 0u64..100_000, inputs in 1usize..40, classes in 2usize..6, bound in 0.01f32..0.4, random in 1usize..20,
    ) {
        let linear = Linear::random(seed, inputs, classes, 20);
        let found = run(&linear, bound, with_random(random));
        prop_assert!(found.evaluations <= with_random(random).most_evaluations(inputs * classes, linear.surrogates()));
        for draws in [random, 1 + random / 2] {
            for search in [Search::Corners(Corners { draws }), Search::MonteCarlo(MonteCarlo { draws })] {
                let chance = run(&linear, bound, search);
                let (own, other) = ((found.score, found.loss), (chance.score, chance.loss));
                prop_assert!(own <= other, "{} {own:?} {other:?}", search.name());
            }
        }
    }

    #[test]
    fn a_budget_that_contains_another_never_finds_less(
        seed in 0u64..1000, inputs in 2usize..20, bound in 0.05f32..0.4,
    ) {
        let linear = Linear::random(seed, inputs, 3, 30);
        let score = |search| run(&linear, bound, search).score;
        prop_assert!(score(sign(6, 4, 1)) <= score(sign(6, 1, 1)));
        prop_assert!(score(sign(6, 2, 3)) <= score(sign(6, 2, 1)));
        prop_assert!(score(lagrangian(6)) <= score(lagrangian(2)));
        prop_assert!(score(with_random(9)) <= score(with_random(4)));
        for (few, many) in [(3, 12), (12, 40)] {
            let corners = |draws| score(Search::Corners(Corners { draws }));
            let inside = |draws| score(Search::MonteCarlo(MonteCarlo { draws }));
            prop_assert!(corners(many) <= corners(few) && inside(many) <= inside(few));
        }
    }
}

/// What is not guaranteed: the numbers that the module states.
#[test]
fn gradients_nearly_always_find_more_than_as_many_random_deviations() {
    let (mut weaker, mut larger_weaker, mut loss_weaker) = (0, 0, 0);
    for seed in 0..300 {
        let (inputs, classes) = (8 + seed as usize % 53, 2 + seed as usize % 4);
        let bound = 0.1 + 0.3 * (seed % 7) as f32 / 6.0;
        let linear = Linear::random(seed, inputs, classes, 40);
        let found = run(&linear, bound, sign(20, 2, 1));
        let draws = found.evaluations as usize - 1;
        let lowest = |found: &WorstCase| {
            found
                .path
                .iter()
                .map(|p| p.loss)
                .fold(f64::INFINITY, f64::min)
        };
        let random = [
            Search::Corners(Corners { draws }),
            Search::MonteCarlo(MonteCarlo { draws }),
        ]
        .map(|search| run(&linear, bound, search));
        assert!(random.iter().all(|r| r.evaluations == found.evaluations));
        let beaten = random.iter().any(|r| r.score < found.score);
        weaker += usize::from(beaten);
        larger_weaker += usize::from(beaten && inputs * classes >= 150);
        loss_weaker += usize::from(random.iter().any(|r| lowest(r) < lowest(&found)));
    }
    assert_eq!((weaker, larger_weaker, loss_weaker), (9, 0, 0));
}

#[test]
fn one_image_of_two_classes_has_its_worst_case_at_the_corner() {
    let linear = Linear {
        labels: vec![0],
        ..Linear::random(3, 30, 2, 1)
    };
    let x = linear.images[0].clone();
    // Far from changing the class, so that the loss stays linear.
    let margin = linear.lead(0, &[0.0; 60]).0.abs();
    let label = usize::from(linear.lead(0, &[0.0; 60]).0 < 0.0);
    let linear = Linear {
        labels: vec![label],
        ..linear
    };
    let size: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
    let largest = linear.weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
    let bound = (0.5 * margin / (2.0 * size * f64::from(largest))) as f32;
    let end = bound * largest;
    let exact = margin - 2.0 * f64::from(end) * size;
    for search in [
        sign(20, 1, 1),
        sign(7, 3, 2),
        Search::SingleStep(SingleStep {}),
        auto(60),
        walks(60)[0],
        walks(60)[1],
    ] {
        let found = worst_case(&linear, &linear.bounds(bound), &search, 1, None, on).unwrap();
        assert!((found.loss - exact).abs() < 1e-9, "{} {exact}", found.loss);
        for (input, x) in x.iter().enumerate() {
            let expected = -end * x.signum();
            assert_eq!(found.deviations["w"][2 * input + label], expected);
            assert_eq!(found.deviations["w"][2 * input + 1 - label], -expected);
        }
        assert_eq!(found.fraction_at_bound, 1.0);
        // To first order the whole way is known beforehand.
        assert!((found.layers[0].first_order - 2.0 * f64::from(end) * size).abs() < 1e-5);
        assert_eq!(found.layers[0].fraction_at_bound, 1.0);
    }
    // The Lagrangian search comes near it.
    let found = run(&linear, bound, lagrangian(10));
    let reached = (margin - found.loss) / (margin - exact);
    assert!((0.98..=1.0 + 1e-9).contains(&reached), "{reached}");
}

#[test]
fn a_bound_of_zero_is_the_clean_network() {
    let linear = Linear::random(4, 10, 4, 50);
    for search in all() {
        let found = run(&linear, 0.0, search);
        assert_eq!((found.score, found.fraction_at_bound), (found.clean, 0.0));
        assert!(found.path.iter().all(|point| point.score == found.clean));
    }
}

#[rstest]
fn an_interrupted_search_goes_on_to_the_same_bytes(
    #[values(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)] which: usize,
) {
    // In a large box, so that nothing comes on top of the budget.
    let linear = Linear::random(6, 252, 4, 40);
    let (search, bounds) = (all()[which], linear.bounds(0.2));
    let mut states = Vec::new();
    let keep = |state: &SearchState| {
        states.push(serde_json::to_string(state).unwrap());
        ControlFlow::Continue(())
    };
    let whole = worst_case(&linear, &bounds, &search, 5, None, keep).unwrap();
    assert_eq!(states.len() as u64, whole.evaluations);
    for (index, text) in states.iter().enumerate() {
        let state: SearchState = serde_json::from_str(text).unwrap();
        let mut seen = Vec::new();
        let again = worst_case(&linear, &bounds, &search, 5, Some(state), |state| {
            seen.push(serde_json::to_string(state).unwrap());
            ControlFlow::Continue(())
        });
        assert_eq!(again.unwrap(), whole);
        assert_eq!(seen, states[index + 1..]);
    }
    let mut left = 2;
    let cut = worst_case(&linear, &bounds, &search, 5, None, |_| {
        left -= 1;
        if left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .unwrap();
    assert_eq!(
        (cut.evaluations, cut.interrupted),
        (2, whole.evaluations > 2)
    );
    let other = Linear::random(6, 251, 4, 40).bounds(0.2);
    let state = serde_json::from_str(&states[0]).unwrap();
    let refused = worst_case(&linear, &other, &search, 5, Some(state), on).unwrap_err();
    assert_eq!(refused, NoiseError::OtherState);
}

#[test]
fn restarts_begin_at_points_of_their_seed() {
    let linear = Linear::random(8, 10, 3, 30);
    let bounds = linear.bounds(0.3);
    let with = |seed| worst_case(&linear, &bounds, &sign(5, 1, 2), seed, None, on).unwrap();
    let (one, other) = (with(1), with(2));
    assert_eq!(one, with(1));
    let of = |found: &WorstCase, restart| -> Vec<PathPoint> {
        let points = found.path.iter().filter(|point| point.restart == restart);
        points.copied().collect()
    };
    assert_eq!(of(&one, 0), of(&other, 0));
    assert_ne!(of(&one, 1), of(&other, 1));
    assert_eq!(of(&one, 1).len(), 6);
}

/// A network that computes no numbers after some evaluations.
struct Broken(Linear, std::cell::Cell<usize>);

impl Objective for Broken {
    type Error = NoiseError;

    fn judge(&self, deviations: &Deviations, surrogate: usize) -> Result<Judged, NoiseError> {
        self.0.judge(deviations, surrogate)
    }

    fn gradient(
        &self,
        deviations: &Deviations,
        surrogate: usize,
    ) -> Result<(Judged, Deviations), NoiseError> {
        let (judged, mut gradient) = self.0.gradient(deviations, surrogate)?;
        self.1.set(self.1.get() + 1);
        if self.1.get() == 4 {
            gradient
                .values_mut()
                .for_each(|values| values[2] = f32::NAN);
        }
        Ok((judged, gradient))
    }
}

#[test]
fn what_is_not_finite_is_refused_with_its_place() {
    let broken = Broken(Linear::random(2, 6, 3, 20), Default::default());
    let bounds = broken.0.bounds(0.1);
    let error = worst_case(&broken, &bounds, &Search::default(), 1, None, on).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gradient of `w` is not finite in restart 0, iteration 3: lower the bound, or check that the network computes finite outputs"
    );
    let mut linear = Linear::random(2, 6, 3, 20);
    linear.images[3][0] = f32::INFINITY;
    let error = worst_case(&linear, &bounds, &Search::default(), 1, None, on).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the loss is not finite in restart 0"),
        "{error}"
    );
}

#[test]
fn settings_are_checked_and_tables_are_strict() {
    for (search, message) in [
        (
            sign(0, 1, 1),
            "sign: steps = 0 is not allowed, use a whole number above 0",
        ),
        (
            sign(1, 0, 1),
            "sign: expand = 0 is not allowed, use a whole number above 0",
        ),
        (
            sign(1, 1, 0),
            "sign: restarts = 0 is not allowed, use a whole number above 0",
        ),
        (
            lagrangian(0),
            "lagrangian: rounds = 0 is not allowed, use a whole number above 0",
        ),
        (
            Search::Lagrangian(Lagrangian {
                c: f64::NAN,
                ..Lagrangian::default()
            }),
            "lagrangian: c = NaN is not allowed, use a number above 0",
        ),
        (
            Search::MonteCarlo(MonteCarlo { draws: 0 }),
            "monte-carlo: draws = 0 is not allowed, use a whole number above 0",
        ),
    ] {
        assert_eq!(search.check().unwrap_err().to_string(), message);
    }
    let read = |text: &str| serde_json::from_str::<Search>(text);
    assert_eq!(read(r#"{"method":"auto"}"#).unwrap(), Search::default());
    for search in all() {
        let text = serde_json::to_string(&search).unwrap();
        assert_eq!(read(&text).unwrap(), search, "{text}");
        assert!(text.contains(search.name()));
    }
    for (text, part) in [
        (r#"{"method":"sign","step":3}"#, "unknown field `step`"),
        (
            r#"{"method":"single-step","steps":3}"#,
            "unknown field `steps`",
        ),
        (r#"{"method":"corners"}"#, "missing field `draws`"),
        (r#"{"method":"pgd"}"#, "unknown variant `pgd`"),
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_automatic_search_is_never_weaker_than_as_many_random_deviations(
        seed in 0u64..100_000, inputs in 1usize..40, classes in 2usize..6, bound in 0.01f32..0.4, budget in 8usize..60,
    ) {
        let linear = Linear::random(seed, inputs, classes, 20);
        let found = run(&linear, bound, auto(budget));
        for search in [
            Search::Corners(Corners { draws: budget }),
            Search::MonteCarlo(MonteCarlo { draws: budget }),
        ] {
            let chance = run(&linear, bound, search);
            prop_assert!(found.score <= chance.score, "{}", search.name());
        }
    }

    /// In a box that is too large for the searches on top of the budget.
    #[test]
    fn the_automatic_search_keeps_its_budget_and_reports_its_legs(
        seed in 0u64..1000, bound in 0.05f32..0.4, budget in 1usize..90,
    ) {
        let linear = Linear::random(seed, 340, 3, 12);
        let found = run(&linear, bound, auto(budget));
        let forward = found.evaluations - found.gradients;
        prop_assert!(3 * found.gradients + forward <= 3 * budget as u64);
        let evaluations: u64 = found.legs.iter().map(|leg| leg.evaluations).sum();
        prop_assert_eq!(evaluations, found.evaluations);
        let lowest = found.legs.iter().map(|leg| leg.score).fold(f64::INFINITY, f64::min);
        prop_assert_eq!(lowest, found.score);
        for (number, leg) in found.legs.iter().enumerate() {
            let points = found.path.iter().filter(|point| point.restart == number);
            prop_assert_eq!(points.count() as u64, leg.evaluations);
            prop_assert!(leg.from.is_none_or(|from| from < number));
        }
    }

    /// On small classifiers, with the same budget.
    #[test]
    fn the_automatic_search_is_never_weaker_than_a_method_that_it_is_made_of(
        seed in 0u64..100_000, inputs in 4usize..100, classes in 2usize..6, bound in 0.05f32..0.4, budget in 4usize..60,
    ) {
        let linear = Linear::random(seed, inputs, classes, 25);
        let found = run(&linear, bound, auto(budget));
        for surrogate in 0..linear.surrogates().count() {
            let one = One(&linear, surrogate);
            for search in walks(budget).into_iter().chain([lagrangian(10)]) {
                let single = worst_case(&one, &linear.bounds(bound), &search, 5, None, on).unwrap();
                prop_assert!(found.score <= single.score, "{} {surrogate}", search.name());
            }
        }
    }
}

/// A classifier with one of its surrogates alone.
struct One<'a>(&'a Linear, usize);

impl Objective for One<'_> {
    type Error = NoiseError;

    fn judge(&self, deviations: &Deviations, _: usize) -> Result<Judged, NoiseError> {
        self.0.judge(deviations, self.1)
    }

    fn gradient(
        &self,
        deviations: &Deviations,
        _: usize,
    ) -> Result<(Judged, Deviations), NoiseError> {
        self.0.gradient(deviations, self.1)
    }
}
