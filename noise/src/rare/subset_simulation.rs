//! Rare percentiles by subset simulation.

use std::sync::atomic::{AtomicBool, Ordering};

use super::normal_draws::two_sided;
use super::rare_chip::{Move, RareChip};
use crate::{Better, ChipSeed, NoiseError, over_cores};

/// Number of the first chip whose draws are used, so that a plain population of the same seed shares none of them.
const FIRST_INDEX: u64 = 1 << 40;
/// Groups of chains in a level. The length of moves is adapted between two groups.
const GROUPS: usize = 10;
/// The share of moves that should be accepted (Papaioannou et al. 2015, section 3.4.2).
const ACCEPTANCE: f64 = 0.44;
/// sqrt(1 - rho²) of the first moves (same source), and the smallest one.
const FIRST_LENGTH: f64 = 0.6;
const LEAST_LENGTH: f64 = 0.01;
/// Fewest chips that a level may keep.
const FEWEST_KEPT: f64 = 5.0;
/// Memory of a simulation for one chip: its sample and place in the order of its level, the pair in the observer that
/// resumes it, and a dozen moves.
const BYTES_PER_CHIP: u64 = 48 + 8 + 16 + 12 * 16;
/// Most memory of all chips of a level: 4 GiB.
const MOST_BYTES: u64 = 4 << 30;
/// Most levels. 0.5 to this power is below any percentage that a 64-bit float holds.
const MOST_LEVELS: usize = 200;

/// Settings of a subset simulation.
#[derive(Clone, Debug, PartialEq)]
pub struct RareConfig {
    /// Seed of the population.
    pub seed: u64,
    /// Chips of each level.
    pub chips: usize,
    /// Probability of each level given the one before, such as 0.1.
    pub conditional: f64,
    /// The percentages, each above 0 and below 100.
    pub percentages: Vec<f64>,
    /// Confidence of each interval.
    pub confidence: f64,
}

/// Subset simulation: chips get worse from level to level, until the rarest percentage is common among them.
///
/// The first level consists of plain chips. The worst chips of a level, a share `conditional`, start the chains of the next
/// level. A chain makes moves ([`RareChip`]), and accepts a move if the chip is still no better than the threshold. The
/// metric has ties. The threshold is therefore the value whose share of chips at or below it is closest to `conditional`,
/// and this true share is used.
///
/// ```text
/// P(metric <= t) = p_1 p_2 … p_j F_j(t)       p_i: share kept of level i, F_j: fraction of level j at or below t
/// cv² of it      = sum over its levels of (1 - p_i) / (p_i N) (1 + g_i)
/// g_i            = 2 sum over lags k of (1 - k / length) r(k),     r: correlation of "at or below" along chains
/// interval       : the quantiles at p exp(-z cv) and p exp(z cv)
/// ```
///
/// The interval treats levels, and chains of one level, as independent. Neither is quite true, so intervals cover somewhat
/// less often than stated: in the test below, with 300 simulations of 500 chips per level, the 95 % intervals of 1, 0.1 and
/// 0.01 % covered in 96, 95 and 91 % of the simulations.
///
/// # Source
/// Au and Beck, "Estimation of small failure probabilities in high dimensions by subset simulation", Probabilistic
/// Engineering Mechanics 16 (2001), equations 21 to 29. Moves and the adaptation of their length: Papaioannou, Betz,
/// Zwirglmaier and Straub, "MCMC algorithms for subset simulation", Probabilistic Engineering Mechanics 41 (2015). The
/// interval is ours.
#[derive(Clone, Debug)]
pub struct SubsetSimulation {
    config: RareConfig,
    /// Which end of the metric is the better one.
    better: Better,
}

/// A rare percentile.
#[derive(Clone, Debug, PartialEq)]
pub struct RareQuantile {
    /// The percentage of chips that are as bad or worse.
    pub percent: f64,
    /// The metric.
    pub value: f64,
    /// Lower end of the interval; `None` if the levels do not reach that far.
    pub low: Option<f64>,
    /// Upper end of the interval; `None` if the levels do not reach that far.
    pub high: Option<f64>,
    /// Coefficient of variation of the probability of a chip that is as bad.
    pub variation: f64,
    /// Effective number of independent chips in its level.
    pub effective: f64,
    /// Plain chips whose fraction at or below the value would have the same coefficient of variation; `None` if that is 0,
    /// because all chips have one metric.
    pub plain_chips: Option<f64>,
    /// A chip that has the value.
    pub chip: RareChip,
}

/// One level of a simulation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RareLevel {
    /// Its chips are at this metric or worse; infinite for the first level.
    pub threshold: f64,
    /// Estimated probability of such chips.
    pub probability: f64,
    /// Share of moves that were accepted; 1 for the first level.
    pub acceptance: f64,
    /// rho of its last moves; 0 for the first level.
    pub rho: f64,
}

/// What a simulation found.
#[derive(Clone, Debug, PartialEq)]
pub struct RareResult {
    /// One quantile for each percentage, in the order of the settings.
    pub quantiles: Vec<RareQuantile>,
    /// The levels in order.
    pub levels: Vec<RareLevel>,
    /// Chips that were evaluated.
    pub evaluations: u64,
}

/// Follows a simulation.
pub trait RareObserver: Sync {
    /// Level `level`, counted from 0, starts: at most `chips` chips at `threshold` or worse will be evaluated.
    fn level(&self, level: usize, threshold: f64, chips: usize) {
        let _ = (level, threshold, chips);
    }

    /// The metric of this chip from an earlier run, so that it need not be evaluated again.
    fn known(&self, chip: &RareChip) -> Option<f64> {
        let _ = chip;
        None
    }

    /// A chip was evaluated. Chips come in any order.
    fn chip(&self, chip: &RareChip, metric: f64) {
        let _ = (chip, metric);
    }
}

/// Nobody follows.
impl RareObserver for () {}

impl RareConfig {
    /// The largest number of chips in a level. More would need over 4 GiB in addition to the network.
    pub const MOST_CHIPS: u64 = MOST_BYTES / BYTES_PER_CHIP;

    /// The simulation, if the settings are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Percentage`], [`NoiseError::Confidence`], [`NoiseError::Levels`], [`NoiseError::TooMany`] for more than
    /// [`Self::MOST_CHIPS`].
    pub fn check(self) -> Result<SubsetSimulation, NoiseError> {
        require_percentages(&self.percentages)?;
        let Self {
            chips,
            conditional,
            confidence,
            ..
        } = self;
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(NoiseError::Confidence { confidence });
        }
        let possible = (0.01..=0.5).contains(&conditional);
        if chips as u64 > Self::MOST_CHIPS {
            return Err(NoiseError::TooMany {
                what: "chips a level",
                count: chips as u64,
                most: Self::MOST_CHIPS,
                each: BYTES_PER_CHIP,
            });
        }
        if !possible || (chips as f64) * conditional < FEWEST_KEPT {
            let least = FEWEST_KEPT / if possible { conditional } else { 0.1 };
            return Err(NoiseError::Levels {
                chips,
                conditional,
                least: least.ceil() as usize,
            });
        }
        Ok(SubsetSimulation {
            config: self,
            better: Better::Higher,
        })
    }
}

/// Refuses percentages without a quantile.
pub(super) fn require_percentages(percentages: &[f64]) -> Result<(), NoiseError> {
    match percentages.iter().find(|&&p| !(p > 0.0 && p < 100.0)) {
        Some(&percent) => Err(NoiseError::Percentage { percent }),
        None => Ok(()),
    }
}

impl SubsetSimulation {
    /// Its settings.
    pub fn config(&self) -> &RareConfig {
        &self.config
    }

    /// The same simulation of a metric whose better end is `better`. After [`RareConfig::check`], higher is better.
    #[must_use]
    pub fn judged_by(self, better: Better) -> Self {
        Self { better, ..self }
    }

    /// Runs the simulation, the chains of a level over all cores of the current rayon pool; the result does not depend on
    /// their number. Memory grows with the chips, not with their weights.
    ///
    /// It ends early if all chips of a level have one metric. Rarer quantiles then have that metric, without a lower end.
    /// Setting `stop` ends the simulation once the chips in progress are finished; the result is then `None`.
    ///
    /// # Errors
    /// The first error of `metric` that was met.
    pub fn run<E: Send>(
        &self,
        metric: impl Fn(&RareChip) -> Result<f64, E> + Sync,
        observer: &dyn RareObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RareResult>, E> {
        self.simulate(&metric, observer, stop)
    }

    fn simulate<E: Send>(
        &self,
        metric: &(dyn Fn(&RareChip) -> Result<f64, E> + Sync),
        observer: &dyn RareObserver,
        stop: &AtomicBool,
    ) -> Result<Option<RareResult>, E> {
        let RareConfig {
            seed,
            chips,
            conditional,
            ..
        } = self.config;
        let better = self.better;
        let evaluate = |chip: RareChip| -> Result<Option<Sample>, E> {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let metric = match observer.known(&chip) {
                Some(metric) => metric,
                None => metric(&chip)?,
            };
            observer.chip(&chip, metric);
            let metric = better.orient(metric);
            Ok(Some(Sample { chip, metric }))
        };
        let rarest = self.config.percentages.iter().copied();
        let rarest = rarest.fold(f64::INFINITY, f64::min) / 100.0;
        observer.level(0, better.orient(f64::INFINITY), chips);
        let first = over_cores(0..chips as u64, &|index| {
            let chip = RareChip::new(ChipSeed::new(seed, FIRST_INDEX + index));
            Ok(evaluate(chip)?.map(|sample| vec![sample]))
        })?;
        let Some(first) = first.into_iter().collect() else {
            return Ok(None);
        };
        let mut evaluations = chips as u64;
        let mut levels = vec![Level::new(
            RareLevel {
                threshold: f64::INFINITY,
                probability: 1.0,
                acceptance: 1.0,
                rho: 0.0,
            },
            first,
        )];
        let mut length = FIRST_LENGTH;
        while let Some(last) = levels.last()
            && levels.len() < MOST_LEVELS
            && rarest < last.about.probability * conditional * (1.0 - 1e-9)
        {
            let Some(threshold) = last.next_threshold(conditional) else {
                break;
            };
            let starts = last.samples.iter().filter(|s| s.metric <= threshold);
            let starts: Vec<&Sample> = starts.collect();
            observer.level(levels.len(), better.orient(threshold), chips - starts.len());
            let walk = Walk {
                threshold,
                first_index: FIRST_INDEX + (levels.len() * chips) as u64,
                chips,
            };
            let Some(walked) = walk.run(&starts, &mut length, &evaluate)? else {
                return Ok(None);
            };
            evaluations += (chips - starts.len()) as u64;
            let about = RareLevel {
                threshold,
                probability: last.about.probability * starts.len() as f64 / chips as f64,
                acceptance: walked.acceptance,
                rho: rho(length),
            };
            levels.push(Level::new(about, walked.chains));
        }
        let levels = Levels {
            levels,
            z: two_sided(self.config.confidence),
        };
        let percentages = self.config.percentages.iter();
        Ok(Some(RareResult {
            quantiles: percentages
                .map(|&percent| levels.quantile(percent).oriented(better))
                .collect(),
            levels: levels
                .levels
                .iter()
                .map(|level| RareLevel {
                    threshold: better.orient(level.about.threshold),
                    ..level.about
                })
                .collect(),
            evaluations,
        }))
    }
}

impl RareQuantile {
    /// Turns the quantile of the oriented metric into that of the metric.
    fn oriented(self, better: Better) -> Self {
        let end = |end: Option<f64>| end.map(|end| better.orient(end));
        let (low, high) = better.ends(end(self.low), end(self.high));
        Self {
            value: better.orient(self.value),
            low,
            high,
            ..self
        }
    }
}

/// A chip with its metric, oriented so that lower is worse.
#[derive(Clone, Debug)]
struct Sample {
    chip: RareChip,
    metric: f64,
}

/// rho of moves of a length.
fn rho(length: f64) -> f64 {
    (1.0 - length * length).max(0.0).sqrt()
}

/// Chains that were walked.
struct Walked {
    chains: Vec<Vec<Sample>>,
    /// Share of moves that were accepted.
    acceptance: f64,
}

/// The chains of one level, before they are walked.
struct Walk {
    threshold: f64,
    /// Number of the draws of its first chip.
    first_index: u64,
    chips: usize,
}

impl Walk {
    /// Chains from `starts`: with the starts, as many chips as a level has. `length` is adapted between groups of chains. It
    /// is constant within a chain, so that every chain keeps the law of its chips.
    fn run<E: Send>(
        &self,
        starts: &[&Sample],
        length: &mut f64,
        evaluate: &(dyn Fn(RareChip) -> Result<Option<Sample>, E> + Sync),
    ) -> Result<Option<Walked>, E> {
        let each = self.chips / starts.len();
        let longer = self.chips % starts.len();
        let steps = |chain: usize| each - 1 + usize::from(chain < longer);
        let (mut chains, mut accepted, mut moved) = (Vec::new(), 0, 0);
        for group in 0..GROUPS {
            let cut = |group: usize| starts.len() * group / GROUPS;
            let members = cut(group)..cut(group + 1);
            let rho = rho(*length);
            let chain = |chain: usize| -> Result<Option<(Vec<Sample>, usize)>, E> {
                let mut samples = vec![starts[chain].clone()];
                let mut accepted = 0;
                for step in 0..steps(chain) {
                    // A number of its own for every move of the level.
                    let index = self.first_index + (step * starts.len() + chain) as u64;
                    let here = &samples[step];
                    let Some(there) = evaluate(here.chip.moved(Move { index, rho }))? else {
                        return Ok(None);
                    };
                    if there.metric <= self.threshold {
                        accepted += 1;
                        samples.push(there);
                    } else {
                        samples.push(here.clone());
                    }
                }
                Ok(Some((samples, accepted)))
            };
            let numbers = members.start as u64..members.end as u64;
            let walked = over_cores(numbers, &|number| chain(number as usize))?;
            let walked: Option<Vec<(Vec<Sample>, usize)>> = walked.into_iter().collect();
            let Some(walked) = walked else {
                return Ok(None);
            };
            let tried: usize = members.map(steps).sum();
            let taken: usize = walked.iter().map(|(_, accepted)| accepted).sum();
            if tried > 0 {
                let surplus = taken as f64 / tried as f64 - ACCEPTANCE;
                *length *= libm::exp(surplus / ((group + 1) as f64).sqrt());
                *length = length.clamp(LEAST_LENGTH, 1.0);
            }
            (accepted, moved) = (accepted + taken, moved + tried);
            chains.extend(walked.into_iter().map(|(samples, _)| samples));
        }
        Ok(Some(Walked {
            chains,
            acceptance: accepted as f64 / moved.max(1) as f64,
        }))
    }
}

/// A level with its chips.
struct Level {
    about: RareLevel,
    /// Chain after chain.
    samples: Vec<Sample>,
    /// Chips of each chain.
    lengths: Vec<usize>,
    /// Places of the samples by ascending metric.
    order: Vec<usize>,
}

impl Level {
    fn new(about: RareLevel, chains: Vec<Vec<Sample>>) -> Self {
        let lengths = chains.iter().map(Vec::len).collect();
        let samples: Vec<Sample> = chains.into_iter().flatten().collect();
        let mut order: Vec<usize> = (0..samples.len()).collect();
        order.sort_by(|&a, &b| samples[a].metric.total_cmp(&samples[b].metric));
        Self {
            about,
            samples,
            lengths,
            order,
        }
    }

    /// The sample of rank `rank`, from 1.
    fn ranked(&self, rank: usize) -> &Sample {
        &self.samples[self.order[rank - 1]]
    }

    /// Fraction of the chips at or below `metric`.
    fn fraction(&self, metric: f64) -> f64 {
        let below = |&place: &usize| self.samples[place].metric <= metric;
        self.order.partition_point(below) as f64 / self.samples.len() as f64
    }

    /// The metric whose share of chips is closest to `conditional`, by its ratio: of the value at that rank and the next
    /// lower one. `None` where all chips are alike.
    fn next_threshold(&self, conditional: f64) -> Option<f64> {
        let n = self.samples.len();
        let at = self.ranked(((conditional * n as f64).ceil() as usize).clamp(1, n));
        let lower = |&place: &usize| self.samples[place].metric < at.metric;
        let lower = match self.order.partition_point(lower) {
            0 => None,
            rank => Some(self.ranked(rank).metric),
        };
        let off = |metric: f64| (self.fraction(metric) / conditional).ln().abs();
        [Some(at.metric), lower]
            .into_iter()
            .flatten()
            .filter(|metric| self.fraction(*metric) < 1.0)
            .min_by(|a, b| off(*a).total_cmp(&off(*b)))
    }

    /// 1 + g: the factor by which chains widen the variance of the fraction of chips at or below `metric`.
    fn inflation(&self, metric: f64) -> f64 {
        let p = self.fraction(metric);
        let variance = p * (1.0 - p);
        if variance == 0.0 {
            return 1.0;
        }
        let n = self.samples.len() as f64;
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        let mut inflation = 1.0;
        for lag in 1..longest {
            let (mut both, mut pairs, mut start) = (0, 0, 0);
            for length in &self.lengths {
                let chain = &self.samples[start..start + length];
                for (a, b) in chain.iter().zip(chain.iter().skip(lag)) {
                    both += usize::from(a.metric <= metric && b.metric <= metric);
                    pairs += 1;
                }
                start += length;
            }
            // Pairs per chip are 1 - lag / length, also where chains differ by one.
            let pairs = pairs as f64;
            inflation += 2.0 / n * (both as f64 - pairs * p * p) / variance;
        }
        inflation.max(1.0)
    }

    /// Effective number of independent chips for the fraction at or below `metric`.
    fn effective(&self, metric: f64) -> f64 {
        self.samples.len() as f64 / self.inflation(metric)
    }

    /// Squared coefficient of variation of that fraction.
    fn squared_variation(&self, metric: f64) -> f64 {
        let p = self.fraction(metric);
        (1.0 - p) / (p * self.effective(metric))
    }
}

/// All levels.
struct Levels {
    levels: Vec<Level>,
    /// Half-width of intervals in standard deviations.
    z: f64,
}

impl Levels {
    fn quantile(&self, percent: f64) -> RareQuantile {
        let p = percent / 100.0;
        let (depth, sample) = self.at(p);
        let value = sample.metric;
        let level = &self.levels[depth];
        let above = self.levels[1..=depth].iter().zip(&self.levels);
        let squared = above
            .map(|(next, level)| level.squared_variation(next.about.threshold))
            .sum::<f64>()
            + level.squared_variation(value);
        let variation = squared.sqrt();
        let factor = libm::exp(self.z * variation);
        // No chip is below the lowest metric, so it is not a bound.
        let low = self.at(p / factor).1.metric;
        let last = &self.levels[self.levels.len() - 1];
        RareQuantile {
            percent,
            value,
            low: (low > last.ranked(1).metric).then_some(low),
            high: Some(self.at((p * factor).min(1.0)).1.metric),
            variation,
            effective: level.effective(value),
            plain_chips: (squared > 0.0).then(|| (1.0 - p) / (p * squared)),
            chip: sample.chip.clone(),
        }
    }

    /// The chip at the quantile `p`, and the number of its level: the last level that is not rarer than `p`.
    fn at(&self, p: f64) -> (usize, &Sample) {
        let depth = self
            .levels
            .iter()
            .rposition(|level| level.about.probability >= p);
        let depth = depth.unwrap_or(0);
        let level = &self.levels[depth];
        let n = level.samples.len();
        // The smallest metric that a fraction p of all chips does not exceed, up to rounding of p.
        let rank = (p / level.about.probability * n as f64 - 1e-9).ceil() as usize;
        (depth, level.ranked(rank.clamp(1, n)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::normal::cumulative;
    use crate::{ChipDraws, Distribution, Variation};
    use std::convert::Infallible;
    use std::sync::Mutex;

    const DRAWS: usize = 12;

    fn simulation(seed: u64, chips: usize, percentages: &[f64]) -> SubsetSimulation {
        let config = RareConfig {
            seed,
            chips,
            conditional: 0.1,
            percentages: percentages.to_vec(),
            confidence: 0.95,
        };
        config.check().unwrap()
    }

    /// Φ of the sum of all draws over its standard deviation: uniform over plain chips, so that the quantile at p is p.
    fn uniform(chip: impl ChipDraws) -> f64 {
        let variation = Variation::from(Distribution::gaussian(1.0));
        let drawn = variation.draw(chip, "w", &[1.0; DRAWS], &[DRAWS]);
        let sum: f64 = drawn.iter().map(|x| f64::from(*x)).sum();
        cumulative(sum / (DRAWS as f64).sqrt())
    }

    fn run(simulation: &SubsetSimulation, metric: impl Fn(&RareChip) -> f64 + Sync) -> RareResult {
        let metric = |chip: &RareChip| Ok::<_, Infallible>(metric(chip));
        let Ok(result) = simulation.run(metric, &(), &AtomicBool::new(false));
        result.unwrap()
    }

    #[test]
    fn known_tails_are_found() {
        let percentages = [1.0, 0.1, 0.01];
        let trials = 300;
        let mut covered = [0; 3];
        let mut logs = [(0.0, 0.0); 3];
        let mut stated = [0.0; 3];
        for trial in 0..trials {
            let result = run(&simulation(trial, 500, &percentages), |chip| uniform(chip));
            for (index, quantile) in result.quantiles.iter().enumerate() {
                let truth = quantile.percent / 100.0;
                let above = quantile.low.is_none_or(|low| low <= truth);
                covered[index] += u64::from(above && truth <= quantile.high.unwrap());
                // Whether P is right is the same as whether the quantile is, here: both are uniform.
                let log = (quantile.value / truth).ln();
                logs[index].0 += log / trials as f64;
                logs[index].1 += log * log / trials as f64;
                stated[index] += quantile.variation.powi(2) / trials as f64;
            }
        }
        for index in 0..3 {
            let (mean, square) = logs[index];
            let (spread, stated) = ((square - mean * mean).sqrt(), stated[index].sqrt());
            // The logarithm of a quantile lies off by half of its variance at the most.
            let error = 3.0 * spread / (trials as f64).sqrt();
            assert!(mean.abs() < error + 0.5 * square, "{index}: {mean}");
            // The stated variation is that found, but for what the assumptions leave out.
            assert!(
                (stated / spread - 1.0).abs() < 0.15,
                "{index}: {stated} {spread}"
            );
            // Three standard errors of a proportion, and the three points that the type admits.
            let covered = covered[index] as f64 / trials as f64;
            let error = 3.0 * (0.95 * 0.05 / trials as f64).sqrt();
            assert!(
                covered > 0.95 - error - 0.03 && covered < 0.995,
                "{index}: {covered}"
            );
        }
    }

    #[test]
    fn common_percentages_agree_with_plain_chips() {
        // A metric with ties, and two ways to be bad, of which one is rarer: accuracy on 50 images.
        let metric = |chip: &dyn ChipDraws| {
            let variation = Variation::from(Distribution::right_censored(1.0, 1.0));
            let drawn = variation.draw(chip, "w", &[1.0; DRAWS], &[DRAWS]);
            let sum: f64 = drawn.iter().map(|x| f64::from(*x)).sum();
            let other = f64::from(drawn[0]) < -2.5;
            (cumulative(1.0 + sum / 8.0) * 50.0).floor() / 50.0 - f64::from(u8::from(other)) * 0.1
        };
        let plain = 100_000;
        let mut plain: Vec<f64> = (0..plain).map(|i| metric(&ChipSeed::new(77, i))).collect();
        plain.sort_by(f64::total_cmp);
        let result = run(&simulation(3, 2000, &[5.0, 1.0, 0.1]), |chip| metric(chip));
        for quantile in &result.quantiles {
            let rank = (quantile.percent / 100.0 * plain.len() as f64).ceil() as usize;
            let truth = plain[rank - 1];
            // Four standard errors as wide as the interval says, and one image for its steps.
            let (low, high) = (quantile.low.unwrap(), quantile.high.unwrap());
            let width = (high - low) + 0.02;
            assert!(
                (quantile.value - truth).abs() <= width,
                "{quantile:?} {truth}"
            );
            assert!(low <= quantile.value && quantile.value <= high);
            assert!(width < 0.2, "{quantile:?}");
        }
    }

    #[test]
    fn a_rare_chip_replays_to_its_metric_from_a_few_numbers() {
        let result = run(&simulation(8, 200, &[0.1, 0.001]), |chip| uniform(chip));
        for quantile in &result.quantiles {
            assert_eq!(uniform(&quantile.chip), quantile.value);
            assert!(!quantile.chip.moves.is_empty() && quantile.chip.moves.len() < 60);
        }
        // Fewer evaluations than a hundredth of what plain chips would take.
        let rarest = &result.quantiles[1];
        assert!(
            100.0 * (result.evaluations as f64) < rarest.plain_chips.unwrap(),
            "{rarest:?}"
        );
        assert!(result.levels.is_sorted_by(|a, b| a.threshold > b.threshold));
        assert!(
            result.levels[1..]
                .iter()
                .all(|level| level.acceptance > 0.2 && level.acceptance < 0.8)
        );
    }

    #[test]
    fn a_metric_of_which_lower_is_better_is_the_mirror() {
        let plain = simulation(8, 200, &[5.0, 0.1]);
        let mirrored = plain.clone().judged_by(Better::Lower);
        let (plain, mirrored) = (
            run(&plain, |chip| uniform(chip)),
            run(&mirrored, |chip| -uniform(chip)),
        );
        for (mirrored, plain) in mirrored.quantiles.into_iter().zip(plain.quantiles) {
            assert_eq!(mirrored.oriented(Better::Lower), plain);
        }
        for (mirrored, plain) in mirrored.levels.into_iter().zip(plain.levels) {
            assert_eq!(mirrored.threshold, -plain.threshold);
        }
    }

    #[test]
    fn a_metric_that_cannot_get_worse_ends_it() {
        let result = run(&simulation(8, 100, &[0.001]), |_| 0.5);
        let quantile = &result.quantiles[0];
        assert_eq!(
            (quantile.value, quantile.low, quantile.high),
            (0.5, None, Some(0.5))
        );
        // No number of plain chips says as much as chips that do not differ.
        assert_eq!((quantile.variation, quantile.plain_chips), (0.0, None));
        assert_eq!((result.levels.len(), result.evaluations), (1, 100));
        // Two values: the worse one is met, and below it there is nothing.
        let two = |chip: &RareChip| if uniform(chip) < 0.3 { 0.2 } else { 0.9 };
        let result = run(&simulation(8, 100, &[60.0, 0.001]), two);
        assert_eq!(result.quantiles[0].value, 0.9);
        assert_eq!(
            (result.quantiles[1].value, result.quantiles[1].low),
            (0.2, None)
        );
        assert_eq!(result.levels.len(), 2);
        assert!((result.levels[1].probability - 0.3).abs() < 0.15);
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let metric = |chip: &RareChip| uniform(chip);
            pool.build()
                .unwrap()
                .install(|| run(&simulation(5, 120, &[0.1]), metric))
        };
        assert_eq!(on(1), on(3));
    }

    #[test]
    fn observers_hear_of_every_chip_once_and_a_stop_ends_it() {
        struct Heard {
            chips: Mutex<Vec<u64>>,
            promised: Mutex<usize>,
        }
        impl RareObserver for Heard {
            fn level(&self, _level: usize, _threshold: f64, chips: usize) {
                *self.promised.lock().unwrap() += chips;
            }
            fn chip(&self, chip: &RareChip, metric: f64) {
                assert!(metric > 0.0);
                self.chips.lock().unwrap().push(chip.last_index());
            }
        }
        let heard = Heard {
            chips: Mutex::new(Vec::new()),
            promised: Mutex::new(0),
        };
        let simulation = simulation(5, 103, &[0.1]);
        let metric = |chip: &RareChip| Ok::<_, Infallible>(uniform(chip));
        let Ok(result) = simulation.run(metric, &heard, &AtomicBool::new(false));
        let mut chips = heard.chips.into_inner().unwrap();
        assert_eq!(chips.len() as u64, result.unwrap().evaluations);
        assert_eq!(chips.len(), heard.promised.into_inner().unwrap());
        chips.sort_unstable();
        assert!(chips.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(
            simulation.run(metric, &(), &AtomicBool::new(true)),
            Ok(None)
        );
        let failing = |_: &RareChip| Err("broken");
        assert_eq!(
            simulation.run(failing, &(), &AtomicBool::new(false)),
            Err("broken")
        );
    }

    #[test]
    fn simulations_that_make_no_sense_are_refused() {
        let good = simulation(1, 100, &[0.1]).config;
        let refused = |change: &dyn Fn(&mut RareConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.check().unwrap_err()
        };
        for percent in [0.0, 100.0, -1.0, f64::NAN] {
            let error = refused(&|c| c.percentages = vec![1.0, percent]);
            assert!(matches!(error, NoiseError::Percentage { .. }));
        }
        assert!(matches!(
            refused(&|c| c.confidence = 0.0),
            NoiseError::Confidence { .. }
        ));
        assert!(matches!(
            refused(&|c| c.chips = 49),
            NoiseError::Levels { least: 50, .. }
        ));
        for chips in [RareConfig::MOST_CHIPS as usize + 1, usize::MAX] {
            let error = refused(&|c| c.chips = chips);
            assert!(matches!(error, NoiseError::TooMany { count, .. } if count == chips as u64));
        }
        for conditional in [0.0, 0.6, f64::NAN] {
            let error = refused(&|c| c.conditional = conditional);
            assert!(matches!(error, NoiseError::Levels { .. }));
        }
    }
}
