//! A race of chips for the ranks that KPP(k) is made of.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::count_bounds::CountBounds;
use crate::{ChipSeed, NoiseError, PercentileRanks, Philox, over_cores, path_hash};

/// Items of the first round. Bounds on fewer are too wide to tell chips apart.
const FIRST_ROUND: f64 = 400.0;
/// Every round ends at this many times the items of the round before, which makes three rounds for each doubling. On chips
/// like those of a LeNet (the test below), this takes 19 % of the work of a full evaluation. One round for each doubling
/// takes 21 %, and five rounds hardly less than 19 %. More rounds are not free, because every round manufactures its chips
/// again.
const GROWTH: f64 = 1.25;
/// Memory of a race for one chip: its number, its count and both bounds, its place among the running chips and the result of
/// the round, two sorted copies of the bounds, and the pair in the observer that resumes it.
const BYTES_PER_CHIP: u64 = 8 + 3 * 8 + 2 * 8 + 2 * 8 + 16;
/// Most memory of all chips of a race: 4 GiB.
const MOST_BYTES: u64 = 4 << 30;

/// What is raced for.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceConfig {
    /// Seed of the population.
    pub seed: u64,
    /// Chip numbers.
    pub chips: Range<u64>,
    /// Test items.
    pub items: usize,
    /// The percentile, 0 to 100.
    pub k: f64,
    /// Confidence of the interval between order statistics, such as 0.95.
    pub confidence: f64,
    /// Probability that unseen items would have changed a result. It adds to the error that the confidence allows.
    pub delta: f64,
    /// End as soon as the point and both ends of the interval are known to within this, as a fraction; with `None`, end when
    /// they are exact.
    pub half_width: Option<f64>,
}

/// KPP(k) of a population and its interval, without evaluating every item on every chip.
///
/// Items are evaluated in rounds, in one random order that does not depend on any chip. After every round, the final count
/// of correct items of each chip is bounded, exactly for a finite number of items. The interval lies between the order
/// statistics of ranks l and u, and the point between them. A chip that is certainly above rank u or below rank l is
/// dropped. The race ends when all remaining chips are complete, or every statistic is known well enough.
///
/// ```text
/// L_i <= A_i <= U_i                 bounds of chip i after a round, A_i its count on all items
/// L_(q) <= A_(q) <= U_(q)           the q-th smallest of each, l <= q <= u
/// dropped above                     L_i > U_(u)
/// dropped below                     U_i < L_(l)
/// ```
///
/// This is true if two kinds of bounds hold in every round: the lower bounds of the u worst chips, and the upper bounds of
/// the chips from rank l on. (If L_(q) were above A_(q), one of the q worst chips would have a lower bound above its count;
/// the same argument applies to upper bounds.) There are u and N - l + 1 such bounds in a round. Each kind gets half of
/// `delta`, divided by the number of its bounds and by the number of rounds before the last.
///
/// ```
/// use std::convert::Infallible;
/// use std::sync::atomic::AtomicBool;
///
/// use crossburn_noise::RaceConfig;
///
/// let config = RaceConfig {
///     seed: 1, chips: 0..400, items: 5000, k: 1.0, confidence: 0.95, delta: 0.01, half_width: None,
/// };
/// // Chip i is right with a chance of its own. A test set looks at items in the order of `race_order`.
/// let chance = |index: u64| 0.6 + 0.001 * index as f64;
/// let correct = |chip: crossburn_noise::ChipSeed, items: std::ops::Range<usize>| {
///     let draws = chip.generator("items");
///     let right = items.filter(|&item| draws.uniform(item as u64) < chance(chip.index()));
///     Ok::<_, Infallible>(right.count() as u64)
/// };
/// let result = config.check()?.run(correct, &(), &AtomicBool::new(false)).unwrap().unwrap();
/// assert!(result.is_exact() && result.work < 0.5);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
///
/// # Source
/// Races between models: Maron and Moore, "Hoeffding races", NeurIPS 1993; here with exact bounds for a finite test set,
/// and for order statistics in place of a best model.
#[derive(Clone, Debug)]
pub struct Race {
    config: RaceConfig,
    /// Items looked at by the end of each round; the last is all of them.
    rounds: Vec<usize>,
    ranks: PercentileRanks,
}

/// The outermost ranks of the result.
fn ends(ranks: &PercentileRanks) -> (usize, usize) {
    (
        ranks.low.unwrap_or(ranks.below),
        ranks.high.unwrap_or(ranks.above),
    )
}

/// Limits between which a number is known to lie, as fractions of the items.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bracket {
    /// It is at least this.
    pub low: f64,
    /// It is at most this.
    pub high: f64,
}

impl Bracket {
    /// The middle: within [`half_width`](Self::half_width) of the number.
    pub fn middle(&self) -> f64 {
        self.low + self.half_width()
    }

    /// Half of the distance between the ends; 0 if the number is known exactly.
    pub fn half_width(&self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// One round, in which all chips see the same items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaceRound {
    /// Items seen by its end.
    pub items: usize,
    /// Chips that took part.
    pub chips: usize,
    /// Chips that were dropped because they are above every rank of interest.
    pub above: usize,
    /// Chips that were dropped because they are below every rank of interest.
    pub below: usize,
}

/// What a race found.
#[derive(Clone, Debug, PartialEq)]
pub struct RaceResult {
    /// KPP(k): the value of a full evaluation of these chips lies in here.
    pub value: Bracket,
    /// The lower end of the interval for KPP(k) of the population, as limits; `None` if nothing bounds that side.
    pub low: Option<Bracket>,
    /// The upper end; `None` if nothing bounds that side.
    pub high: Option<Bracket>,
    /// Coverage of the order-statistic interval, over the draw of chips.
    pub coverage: f64,
    /// The probability that unseen items would have changed the result; 0 if every item was evaluated on every chip.
    pub delta: f64,
    /// Pairs of a chip and an item that were evaluated, as a fraction of all.
    pub work: f64,
    /// The rounds in order.
    pub rounds: Vec<RaceRound>,
}

impl RaceResult {
    /// How often such an interval covers KPP(k) of the population, at least: coverage less delta.
    pub fn confidence(&self) -> f64 {
        (self.coverage - self.delta).max(0.0)
    }

    /// Whether point and interval are those of a full evaluation, except with probability delta.
    pub fn is_exact(&self) -> bool {
        self.brackets().all(|bracket| bracket.low == bracket.high)
    }

    /// The point, and those ends that exist.
    fn brackets(&self) -> impl Iterator<Item = Bracket> {
        std::iter::once(self.value).chain(self.low).chain(self.high)
    }
}

/// Follows a race.
pub trait RaceObserver: Sync {
    /// A round starts: `chips` chips are evaluated on `items`, positions in the order of the race.
    fn round(&self, chips: usize, items: Range<usize>) {
        let _ = (chips, items);
    }

    /// The result of an earlier run for this chip and these items, so that they need not be evaluated again.
    fn known(&self, chip: ChipSeed, items: &Range<usize>) -> Option<u64> {
        let _ = (chip, items);
        None
    }

    /// A chip was evaluated on `items` and got `correct` of them right. Chips come in any order.
    fn chip(&self, chip: ChipSeed, items: Range<usize>, correct: u64) {
        let _ = (chip, items, correct);
    }
}

/// Nobody follows.
impl RaceObserver for () {}

/// The order in which a race evaluates `items`: random, and independent of every chip. `seed` may be that of the population.
pub fn race_order(seed: u64, items: usize) -> Vec<usize> {
    Philox::new(seed ^ path_hash("order of images in a race"), 0).permutation(items)
}

impl RaceConfig {
    /// The largest number of chips. More would need over 4 GiB in addition to the network.
    pub const MOST_CHIPS: u64 = MOST_BYTES / BYTES_PER_CHIP;

    /// The race, if its settings are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Percentile`], [`NoiseError::Confidence`], [`NoiseError::Delta`], [`NoiseError::HalfWidth`],
    /// [`NoiseError::Empty`] without chips, [`NoiseError::Items`] without items, [`NoiseError::TooMany`] for more than
    /// [`Self::MOST_CHIPS`].
    pub fn check(self) -> Result<Race, NoiseError> {
        let Self {
            k,
            confidence,
            delta,
            ..
        } = self;
        if !(0.0..=100.0).contains(&k) {
            return Err(NoiseError::Percentile { k });
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(NoiseError::Confidence { confidence });
        }
        if !(delta > 0.0 && delta < confidence) {
            return Err(NoiseError::Delta { delta, confidence });
        }
        if let Some(half_width) = self.half_width {
            require_half_width(half_width)?;
        }
        if self.chips.is_empty() {
            return Err(NoiseError::Empty);
        }
        if self.items == 0 {
            return Err(NoiseError::Items);
        }
        let chips = self.chips.end - self.chips.start;
        if chips > Self::MOST_CHIPS {
            return Err(NoiseError::TooMany {
                what: "racing chips",
                count: chips,
                most: Self::MOST_CHIPS,
                each: BYTES_PER_CHIP,
            });
        }
        let ranks = PercentileRanks::new(chips as usize, k, confidence);
        Ok(Race {
            rounds: rounds(self.items),
            ranks,
            config: self,
        })
    }
}

/// Refuses a half-width that no interval of fractions can have.
pub(crate) fn require_half_width(half_width: f64) -> Result<(), NoiseError> {
    if half_width > 0.0 && half_width < 0.5 {
        Ok(())
    } else {
        Err(NoiseError::HalfWidth { half_width })
    }
}

impl Race {
    /// What is raced for.
    pub fn config(&self) -> &RaceConfig {
        &self.config
    }

    /// Items looked at by the end of each round; the last is all of them.
    pub fn rounds(&self) -> &[usize] {
        &self.rounds
    }

    /// Runs the race over all cores of the current rayon pool; the result does not depend on their number.
    ///
    /// `correct(chip, items)` is the number of correct items among the positions `items` of the order of the race
    /// ([`race_order`]). A larger number than there are items counts as all items. Setting `stop` ends the race once the
    /// chips in progress are finished; the result is then `None`.
    ///
    /// # Errors
    /// The first error of `correct` that was met.
    pub fn run<E: Send>(
        &self,
        correct: impl Fn(ChipSeed, Range<usize>) -> Result<u64, E> + Sync,
        observer: &dyn RaceObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RaceResult>, E> {
        self.race(&correct, observer, stop)
    }

    fn race<E: Send>(
        &self,
        correct: &(dyn Fn(ChipSeed, Range<usize>) -> Result<u64, E> + Sync),
        observer: &dyn RaceObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RaceResult>, E> {
        let RaceConfig {
            seed,
            items,
            half_width,
            ..
        } = self.config;
        let chips: Vec<u64> = self.config.chips.clone().collect();
        let mut field = Field::new(self, chips.len());
        let mut rounds = Vec::new();
        let mut evaluated = 0;
        let mut start = 0;
        for &end in &self.rounds {
            observer.round(field.running.len(), start..end);
            let one = |number: u64| -> Result<Option<usize>, E> {
                let place = field.running[number as usize];
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let chip = ChipSeed::new(seed, chips[place]);
                let found = match observer.known(chip, &(start..end)) {
                    Some(found) => found,
                    None => correct(chip, start..end)?,
                };
                let found = found.min((end - start) as u64);
                observer.chip(chip, start..end, found);
                Ok(Some(found as usize))
            };
            let found = over_cores(0..field.running.len() as u64, &one)?;
            let Some(found) = found.into_iter().collect::<Option<Vec<usize>>>() else {
                return Ok(None);
            };
            evaluated += found.len() * (end - start);
            let round = field.advance(end, &found);
            rounds.push(round);
            let (value, low, high) = field.statistics();
            let known = std::iter::once(value)
                .chain(low)
                .chain(high)
                .all(|bracket| bracket.half_width() <= half_width.unwrap_or(0.0));
            if known || end == items {
                let everything = evaluated == chips.len() * items;
                return Ok(Some(RaceResult {
                    value,
                    low,
                    high,
                    coverage: self.ranks.coverage,
                    delta: if everything { 0.0 } else { self.config.delta },
                    work: evaluated as f64 / (chips.len() * items) as f64,
                    rounds,
                }));
            }
            start = end;
        }
        Ok(None)
    }
}

/// Items by the end of each round, for a test set of `items`.
fn rounds(items: usize) -> Vec<usize> {
    let mut rounds = Vec::new();
    let mut end = FIRST_ROUND;
    // A second-to-last round close to the last one is not worth its part of delta.
    while end * GROWTH.sqrt() < items as f64 {
        rounds.push(end.round() as usize);
        end *= GROWTH;
    }
    rounds.push(items);
    rounds
}

/// The chips of a race, with what is known about their counts.
struct Field<'a> {
    race: &'a Race,
    bounds: CountBounds,
    /// Errors of one lower and one upper bound.
    errors: (f64, f64),
    correct: Vec<usize>,
    lower: Vec<usize>,
    upper: Vec<usize>,
    /// Places of the chips that are still running.
    running: Vec<usize>,
}

impl<'a> Field<'a> {
    fn new(race: &'a Race, chips: usize) -> Self {
        let items = race.config.items;
        let (first, last) = ends(&race.ranks);
        let early = (race.rounds.len() - 1).max(1) as f64;
        let error = |bounds: usize| 0.5 * race.config.delta / (bounds as f64 * early);
        Self {
            race,
            bounds: CountBounds::new(items),
            errors: (error(last), error(chips - first + 1)),
            correct: vec![0; chips],
            lower: vec![0; chips],
            upper: vec![items; chips],
            running: (0..chips).collect(),
        }
    }

    /// Records how many of the first `seen` items the running chips got right, and drops chips whose side is settled.
    fn advance(&mut self, seen: usize, found: &[usize]) -> RaceRound {
        let mut known = BTreeMap::new();
        for (&place, found) in self.running.iter().zip(found) {
            self.correct[place] += found;
            let correct = self.correct[place];
            let (low, high) = *known.entry(correct).or_insert_with(|| {
                (
                    self.bounds.lower(seen, correct, self.errors.0),
                    self.bounds.upper(seen, correct, self.errors.1),
                )
            });
            // Earlier bounds hold as well. If the two contradict each other, one of them has failed; keep the later one.
            let (both_low, both_high) = (low.max(self.lower[place]), high.min(self.upper[place]));
            (self.lower[place], self.upper[place]) = if both_low <= both_high {
                (both_low, both_high)
            } else {
                (low, high)
            };
        }
        let (first, last) = ends(&self.race.ranks);
        let most = self.sorted(&self.upper)[last - 1];
        let least = self.sorted(&self.lower)[first - 1];
        let chips = self.running.len();
        let (lower, upper) = (&self.lower, &self.upper);
        let above = self.running.iter().filter(|&&place| lower[place] > most);
        let above = above.count();
        self.running
            .retain(|&place| lower[place] <= most && upper[place] >= least);
        RaceRound {
            items: seen,
            chips,
            above,
            below: chips - above - self.running.len(),
        }
    }

    /// Point, lower end and upper end.
    fn statistics(&self) -> (Bracket, Option<Bracket>, Option<Bracket>) {
        let (lower, upper) = (self.sorted(&self.lower), self.sorted(&self.upper));
        let items = self.race.config.items as f64;
        let fraction = |count: usize| count as f64 / items;
        let at = |rank: usize| Bracket {
            low: fraction(lower[rank - 1]),
            high: fraction(upper[rank - 1]),
        };
        let ranks = &self.race.ranks;
        let (below, above) = (at(ranks.below), at(ranks.above));
        let between = |below: f64, above: f64| below + ranks.between * (above - below);
        let value = Bracket {
            low: between(below.low, above.low),
            high: between(below.high, above.high),
        };
        (value, ranks.low.map(at), ranks.high.map(at))
    }

    fn sorted(&self, counts: &[usize]) -> Vec<usize> {
        let mut sorted = counts.to_vec();
        sorted.sort_unstable();
        sorted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;
    use std::sync::Mutex;

    fn config(chips: u64, items: usize, k: f64) -> RaceConfig {
        RaceConfig {
            seed: 3,
            chips: 0..chips,
            items,
            k,
            confidence: 0.95,
            delta: 0.01,
            half_width: None,
        }
    }

    /// Races chips with these counts. All chips get the same items right first, so that the order of items is the only
    /// chance, and a bad one hits all chips at once.
    fn race(config: &RaceConfig, counts: &[usize], order: u64) -> RaceResult {
        let order = race_order(order, config.items);
        let correct = |chip: ChipSeed, items: Range<usize>| {
            let count = counts[chip.index() as usize];
            let right = order[items].iter().filter(|&&item| item < count);
            Ok::<_, Infallible>(right.count() as u64)
        };
        let race = config.clone().check().unwrap();
        let Ok(result) = race.run(correct, &(), &AtomicBool::new(false));
        result.unwrap()
    }

    /// Point, ends and coverage that full evaluation has, from their definitions alone: the point lies at `(n - 1) k / 100`
    /// of the sorted chips; at most half of what the confidence leaves may lie outside either end, by adding up the
    /// probabilities of so many chips below the percentile; and the interval holds the point.
    struct Full {
        value: f64,
        low: Option<f64>,
        high: Option<f64>,
        coverage: f64,
    }

    impl Full {
        fn new(config: &RaceConfig, counts: &[usize]) -> Self {
            let n = counts.len();
            let mut sorted: Vec<f64> = counts
                .iter()
                .map(|&count| count as f64 / config.items as f64)
                .collect();
            sorted.sort_by(f64::total_cmp);
            let p = config.k / 100.0;
            let power = |base: f64, times: usize| match times {
                0 => 0.0,
                _ => times as f64 * base.ln(),
            };
            let mut ways = 0.0f64;
            let mass: Vec<f64> = (0..=n)
                .map(|below| {
                    if below > 0 {
                        ways += ((n - below + 1) as f64 / below as f64).ln();
                    }
                    (ways + power(p, below) + power(1.0 - p, n - below)).exp()
                })
                .collect();
            let tail = 0.5 * (1.0 - config.confidence);
            let h = (n - 1) as f64 * config.k / 100.0;
            let (below, above) = (h.floor() as usize, h.ceil() as usize);
            let sum = |part: &[f64]| part.iter().sum::<f64>();
            let low = (1..=n).rev().find(|&rank| sum(&mass[..rank]) <= tail);
            let high = (1..=n).find(|&rank| sum(&mass[rank..]) <= tail);
            let low = low.map(|rank| rank.min(below + 1));
            let high = high.map(|rank| rank.max(above + 1));
            Self {
                value: sorted[below] + (h - h.floor()) * (sorted[above] - sorted[below]),
                low: low.map(|rank| sorted[rank - 1]),
                high: high.map(|rank| sorted[rank - 1]),
                coverage: sum(&mass[low.unwrap_or(0)..high.unwrap_or(n + 1)]),
            }
        }
    }

    /// Counts of chips whose accuracy is normal, by the quantile function at the draws of `seed`.
    fn normal_counts(seed: u64, chips: usize, items: usize, mean: f64, std: f64) -> Vec<usize> {
        let mut z: Vec<f64> = vec![0.0; chips];
        Philox::new(seed, 0).fill_uniform(&mut z);
        crossburn_kernels::normal_quantiles(&mut z);
        let count = |z: f64| ((mean + std * z).clamp(0.0, 1.0) * items as f64) as usize;
        z.into_iter().map(count).collect()
    }

    /// Whether point and interval are those of full evaluation.
    fn is_that_of(result: &RaceResult, config: &RaceConfig, counts: &[usize]) -> bool {
        let full = Full::new(config, counts);
        // A sum of so many logarithms.
        assert!((full.coverage - result.coverage).abs() < 1e-9);
        let close = |bracket: Bracket, value: f64| {
            bracket.low - 1e-12 <= value && value <= bracket.high + 1e-12
        };
        let end = |bracket: Option<Bracket>, value: Option<f64>| match (bracket, value) {
            (Some(bracket), Some(value)) => close(bracket, value),
            (bracket, value) => bracket.is_none() && value.is_none(),
        };
        close(result.value, full.value) && end(result.low, full.low) && end(result.high, full.high)
    }

    #[test]
    fn run_to_its_end_it_is_full_evaluation() {
        for k in [0.0, 0.3, 1.0, 5.0, 50.0, 90.0, 100.0] {
            for chips in [1, 2, 60, 400] {
                let config = config(chips, 2000, k);
                let counts = normal_counts(chips, chips as usize, 2000, 0.8, 0.06);
                let result = race(&config, &counts, 5);
                assert!(result.is_exact(), "{k} {chips}: {result:?}");
                assert!(is_that_of(&result, &config, &counts), "{k} {chips}");
            }
        }
    }

    #[test]
    fn a_small_test_set_has_one_round_and_no_doubt() {
        let config = config(40, 180, 5.0);
        let counts = normal_counts(1, 40, 180, 0.8, 0.1);
        let result = race(&config, &counts, 5);
        assert_eq!(result.rounds.len(), 1);
        assert_eq!((result.work, result.delta), (1.0, 0.0));
        assert!(is_that_of(&result, &config, &counts));
    }

    #[test]
    fn ties_lose_nothing() {
        // All chips alike: none can be dropped, and the race is full evaluation.
        let config = config(100, 1000, 5.0);
        let result = race(&config, &[700; 100], 5);
        assert_eq!(result.work, 1.0);
        assert_eq!(
            (
                result.value.low,
                result.low.map(|low| low.low),
                result.high.map(|high| high.high)
            ),
            (0.7, Some(0.7), Some(0.7))
        );
        // Two values, the rank of interest among the ties of either.
        for bad in [2, 5, 30] {
            let counts: Vec<usize> = (0..100).map(|i| if i < bad { 300 } else { 900 }).collect();
            let result = race(&config, &counts, 5);
            assert!(
                result.is_exact() && is_that_of(&result, &config, &counts),
                "{bad}"
            );
        }
    }

    #[test]
    fn rounds_grow_to_all_items() {
        assert_eq!(rounds(1), [1]);
        assert_eq!(rounds(400), [400]);
        assert_eq!(rounds(1000), [400, 500, 625, 781, 1000]);
        assert_eq!(rounds(10_000).len(), 15);
        assert!(rounds(10_000).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_population_like_that_of_a_lenet_takes_a_fifth_of_the_work() {
        let (chips, items, populations) = (1000, 10_000, 10);
        let mut config = config(chips, items, 1.0);
        let (mut work, mut exact_work) = (0.0, 0.0);
        for seed in 0..populations {
            let counts = normal_counts(seed, chips as usize, items, 0.82, 0.057);
            config.half_width = Some(0.01);
            let result = race(&config, &counts, seed);
            assert!(is_that_of(&result, &config, &counts));
            assert!(result.low.is_some() && result.high.is_some());
            assert!(
                result
                    .brackets()
                    .all(|bracket| bracket.half_width() <= 0.01)
            );
            work += result.work;
            config.half_width = None;
            let exact = race(&config, &counts, seed);
            assert!(exact.is_exact() && exact.work >= result.work);
            exact_work += exact.work;
            config.half_width = Some(0.03);
            let rough = race(&config, &counts, seed);
            assert!(rough.work < exact.work - 0.01 && !rough.is_exact());
        }
        // One point costs nearly as much as every item, because a bound on one chip is that narrow only near its end.
        let [work, exact_work] = [work, exact_work].map(|sum| sum / populations as f64);
        assert!(work <= 0.2 && exact_work <= 0.2, "{work} {exact_work}");
    }

    #[test]
    fn it_is_wrong_at_most_as_often_as_delta_and_covers_as_often_as_it_says() {
        // A large delta, so that a few thousand races can tell it from a larger one. The items are those of the worst
        // case: one order for chips that all fail together.
        let (chips, items, trials) = (60, 1000, 1500);
        let truth = crossburn_kernels::normal_quantiles;
        for (row, k) in [1.0, 5.0, 50.0].into_iter().enumerate() {
            let mut config = config(chips, items, k);
            config.delta = 0.1;
            let mut quantile = [k / 100.0];
            truth(&mut quantile);
            let quantile = ((0.8 + 0.06 * quantile[0]) * items as f64).floor() / items as f64;
            let (mut wrong, mut covered) = (0, 0);
            let coverage = Full::new(&config, &vec![0; chips as usize]).coverage;
            for trial in 0..trials {
                let seed = 10_000 * row as u64 + trial;
                let counts = normal_counts(seed, chips as usize, items, 0.8, 0.06);
                let result = race(&config, &counts, seed);
                wrong += u64::from(!is_that_of(&result, &config, &counts));
                let above = result.low.is_none_or(|low| low.low <= quantile);
                let below = result.high.is_none_or(|high| quantile <= high.high);
                covered += u64::from(above && below);
            }
            // Three standard errors of a proportion.
            let error = |p: f64| 3.0 * (p * (1.0 - p) / trials as f64).sqrt();
            let wrong = wrong as f64 / trials as f64;
            assert!(
                wrong <= config.delta + error(config.delta),
                "k {k}: {wrong} wrong"
            );
            // The interval covers as often as that of order statistics, less the races that went wrong.
            let covered = covered as f64 / trials as f64;
            assert!(
                covered >= coverage - config.delta,
                "k {k}: {covered}, {coverage}"
            );
            assert!(
                covered >= coverage - wrong - error(coverage),
                "k {k}: {covered}, {coverage}"
            );
        }
    }

    #[test]
    fn a_stop_ends_it_and_observers_hear_of_every_chip() {
        #[derive(Default)]
        struct Heard {
            rounds: Mutex<Vec<(usize, Range<usize>)>>,
            chips: Mutex<u64>,
        }
        impl RaceObserver for Heard {
            fn round(&self, chips: usize, items: Range<usize>) {
                self.rounds.lock().unwrap().push((chips, items));
            }
            fn chip(&self, _chip: ChipSeed, items: Range<usize>, correct: u64) {
                assert!(correct <= items.len() as u64);
                *self.chips.lock().unwrap() += 1;
            }
        }
        let race = config(20, 600, 5.0).check().unwrap();
        let heard = Heard::default();
        let stop = AtomicBool::new(false);
        // A count above the number of items is taken as all of them.
        let correct = |_: ChipSeed, _: Range<usize>| Ok::<_, Infallible>(1 << 40);
        let Ok(result) = race.run(correct, &heard, &stop);
        let result = result.unwrap();
        assert_eq!((result.value.low, result.value.high), (1.0, 1.0));
        let rounds = heard.rounds.into_inner().unwrap();
        assert_eq!(rounds[0], (20, 0..400));
        assert_eq!(rounds.len(), result.rounds.len());
        let looked: usize = rounds.iter().map(|round| round.0).sum();
        assert_eq!(heard.chips.into_inner().unwrap(), looked as u64);
        stop.store(true, Ordering::Relaxed);
        assert_eq!(race.run(correct, &(), &stop), Ok(None));
        let failing = |_: ChipSeed, _: Range<usize>| Err("broken");
        assert_eq!(
            race.run(failing, &(), &AtomicBool::new(false)),
            Err("broken")
        );
    }

    #[test]
    fn races_that_make_no_sense_are_refused() {
        let good = config(10, 100, 1.0);
        let refused = |change: fn(&mut RaceConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert!(matches!(
            refused(|c| c.k = 101.0),
            NoiseError::Percentile { .. }
        ));
        assert!(matches!(
            refused(|c| c.k = f64::NAN),
            NoiseError::Percentile { .. }
        ));
        assert!(matches!(
            refused(|c| c.confidence = 1.0),
            NoiseError::Confidence { .. }
        ));
        for change in [
            |c: &mut RaceConfig| c.delta = 0.0,
            |c: &mut RaceConfig| c.delta = 0.95,
            |c: &mut RaceConfig| c.delta = f64::NAN,
        ] {
            assert!(matches!(refused(change), NoiseError::Delta { .. }));
        }
        for change in [
            |c: &mut RaceConfig| c.half_width = Some(0.0),
            |c: &mut RaceConfig| c.half_width = Some(0.5),
        ] {
            assert!(matches!(refused(change), NoiseError::HalfWidth { .. }));
        }
        assert_eq!(refused(|c| c.chips = 5..5), NoiseError::Empty);
        assert_eq!(refused(|c| c.items = 0), NoiseError::Items);
        for chips in [RaceConfig::MOST_CHIPS + 1, 1_000_000_000_000, u64::MAX] {
            let mut config = good.clone();
            config.chips = 0..chips;
            let error = config.check().unwrap_err();
            assert!(matches!(error, NoiseError::TooMany { count, .. } if count == chips));
        }
        let mut most = good.clone();
        most.chips = 0..RaceConfig::MOST_CHIPS;
        assert!(most.check().is_ok());
    }

    proptest! {
        #[test]
        fn a_race_agrees_with_full_evaluation(
            counts in prop::collection::vec(0usize..=600, 1..80), k in 0.0f64..=100.0, order: u64, width in 0.0f64..0.1,
        ) {
            // At this delta no failure is to be expected in any number of cases.
            let mut config = config(counts.len() as u64, 600, k);
            config.delta = 1e-9;
            config.half_width = (width > 0.01).then_some(width);
            let result = race(&config, &counts, order);
            prop_assert!(is_that_of(&result, &config, &counts));
            prop_assert!(result.work > 0.0 && result.work <= 1.0);
            let pairs: f64 = result.rounds.iter().scan(0, |from, round| {
                let new = round.items - *from;
                *from = round.items;
                Some((new * round.chips) as f64)
            }).sum();
            prop_assert!((pairs / (600 * counts.len()) as f64 - result.work).abs() < 1e-12);
        }

        #[test]
        fn the_result_does_not_depend_on_the_number_of_threads(
            counts in prop::collection::vec(0usize..=600, 1..40), k in 0.0f64..=100.0,
        ) {
            let config = config(counts.len() as u64, 600, k);
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| race(&config, &counts, 9))
            };
            prop_assert_eq!(on(1), on(3));
        }
    }
}
