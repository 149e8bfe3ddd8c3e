//! A heuristic prior: rules of thumb of textbooks, without a language model.

use std::collections::BTreeSet;

use super::{Proposal, Proposer, proposed};
use crate::TrainingError;
use crate::search::trial::best;
use crate::search::{Axis, Choice, Design, Draws, Space, Trial};

/// Neighbours of the best design that are drawn for one that was not proposed.
const TRIES: usize = 200;

/// Rules of thumb for axes that are known by their names, and local changes of the best design.
///
/// - `channels` widen with depth.
/// - `kernels` are 3, and never larger: a textbook says that larger ones are slower, which arrays contradict.
/// - Operations (any axis with the choice `conv3x3`) are `conv3x3`; single ones may become a shortcut or something cheaper.
/// - Blocks are residual, norms those of the batch, dropout is light, pooling takes the maximum, the depth is in the middle.
/// - Arrays have 128 rows, converters 8 bits, cells 2 and weights 8, where there are such choices.
///
/// After the first design, a rule at a time is applied to the best design so far: all channels narrower, all wider, then single positions and
/// other axes to the choices beside theirs. A rule that helped is applied again. An axis without a rule is drawn at random each time, so that
/// the prior knows nothing of a space whose names are hidden.
#[derive(Clone, Debug)]
pub struct HeuristicPrior {
    draws: Draws,
    seen: BTreeSet<Design>,
    /// The score before the last rule, and its number.
    last: Option<(f64, usize)>,
    /// The best design that rules were applied to, and the first rule that was not.
    around: Option<(Design, usize)>,
}

/// One change of a design.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The first position, and how many.
    first: usize,
    positions: usize,
    to: To,
}

#[derive(Clone, Copy, Debug)]
enum To {
    /// One choice down or up.
    Step(i8),
    /// This choice.
    Number(u16),
}

/// Choices that designs begin with, by axis, the first one that the axis has.
const FIRST: [(&str, &[&str]); 10] = [
    ("adc_bits", &["8", "7", "6"]),
    ("array", &["128", "256", "64"]),
    ("block", &["residual", "conv"]),
    ("cell_bits", &["2", "1"]),
    ("columns_per_converter", &["8", "16", "128"]),
    ("dropout", &["0.1", "0"]),
    ("kernels", &["3"]),
    ("norm", &["batch", "group"]),
    ("pool", &["max"]),
    ("weight_bits", &["8", "6", "4"]),
];

const CONVOLUTION: &str = "conv3x3";
/// What single operations become, in the order in which it is tried.
const OTHER_OPERATIONS: [&str; 4] = ["skip", "conv1x1", "none", "avgpool"];

/// What the prior knows of an axis.
enum Rule {
    Channels,
    Depth,
    Kernels(u16),
    Operations(u16),
    Begins(u16),
    None,
}

fn number_of(axis: &Axis, text: &str) -> Option<u16> {
    let choices = axis.choices.iter();
    let texts: Vec<String> = choices.map(Choice::to_string).collect();
    texts
        .iter()
        .position(|own| own == text)
        .map(|number| number as u16)
}

fn rule(axis: &Axis) -> Rule {
    if let Some(number) = number_of(axis, CONVOLUTION) {
        return Rule::Operations(number);
    }
    let begins = FIRST.iter().find(|(name, _)| *name == axis.name);
    let begins = begins.and_then(|(_, texts)| texts.iter().find_map(|text| number_of(axis, text)));
    match (axis.name.as_str(), begins) {
        ("channels", _) => Rule::Channels,
        ("layers", _) => Rule::Depth,
        ("kernels", Some(number)) => Rule::Kernels(number),
        (_, Some(number)) => Rule::Begins(number),
        _ => Rule::None,
    }
}

impl HeuristicPrior {
    /// The prior; `seed` is for what it has no rule for.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed, "heuristic"),
            seen: BTreeSet::new(),
            last: None,
            around: None,
        }
    }

    /// The textbook's design.
    fn first(&mut self, space: &Space) -> Option<Design> {
        let mut numbers = vec![0u16; space.positions()];
        for axis in space.axes() {
            let most = axis.choices.len() - 1;
            for place in 0..axis.positions {
                let at = axis.first + place;
                numbers[at] = match rule(axis) {
                    Rule::Channels if axis.positions == 1 => most as u16 / 2,
                    Rule::Channels => (place * most).div_ceil(axis.positions - 1) as u16,
                    Rule::Depth => most as u16 / 2,
                    Rule::Kernels(number) | Rule::Operations(number) | Rule::Begins(number) => {
                        number
                    }
                    Rule::None => self.draws.below(axis.choices.len()) as u16,
                };
            }
        }
        let design = space.design(numbers)?;
        space.check(&design).is_ok().then_some(design)
    }

    /// The rules in the order in which they are tried.
    fn changes(space: &Space) -> Vec<Change> {
        let (mut broad, mut single) = (Vec::new(), Vec::new());
        for axis in space.axes() {
            let whole = |to| Change {
                first: axis.first,
                positions: axis.positions,
                to,
            };
            let each = |to| {
                let places = (0..axis.positions).rev();
                places.map(move |place| Change {
                    first: axis.first + place,
                    positions: 1,
                    to,
                })
            };
            match rule(axis) {
                Rule::Channels => {
                    broad.extend([-1, 1].map(|step| whole(To::Step(step))));
                    single.extend([-1, 1].into_iter().flat_map(|step| each(To::Step(step))));
                }
                Rule::Operations(_) => {
                    let others = OTHER_OPERATIONS.iter();
                    let numbers = others.filter_map(|text| number_of(axis, text));
                    single.extend(numbers.flat_map(|number| each(To::Number(number))));
                }
                // Never larger ones.
                Rule::Kernels(_) => single.extend(each(To::Step(-1))),
                Rule::Depth | Rule::Begins(_) => {
                    broad.extend([-1, 1].map(|step| whole(To::Step(step))));
                }
                Rule::None => {}
            }
        }
        broad.extend(single);
        broad
    }

    /// `design` after a change, with what has no rule drawn anew; none where nothing changes or a constraint breaks.
    fn changed(&mut self, space: &Space, design: &Design, change: Change) -> Option<Design> {
        let mut numbers = design.numbers().to_vec();
        let places = numbers.iter_mut().enumerate().skip(change.first);
        for (at, number) in places.take(change.positions) {
            let most = space.axis_at(at).choices.len() as u16 - 1;
            *number = match change.to {
                To::Step(step) if step < 0 => number.saturating_sub(1),
                To::Step(_) => (*number + 1).min(most),
                To::Number(number) => number,
            };
        }
        for (at, number) in numbers.iter_mut().enumerate() {
            let axis = space.axis_at(at);
            if let Rule::None = rule(axis) {
                *number = self.draws.below(axis.choices.len()) as u16;
            }
        }
        let other = space.design(numbers)?;
        let fits = space.check(&other).is_ok() && !self.seen.contains(&other);
        fits.then_some(other)
    }

    /// The next rule on the best design so far.
    fn by_rule(&mut self, space: &Space, best: &Trial) -> Option<Design> {
        let incumbent = best.design.clone()?;
        let changes = Self::changes(space);
        if let Some((before, number)) = self.last.take()
            && best.score > before
            && let Some(design) = self.changed(space, &incumbent, changes[number])
        {
            self.last = Some((best.score, number));
            return Some(design);
        }
        let from = match &self.around {
            Some((design, from)) if *design == incumbent => *from,
            _ => 0,
        };
        for (number, change) in changes.into_iter().enumerate().skip(from) {
            if let Some(design) = self.changed(space, &incumbent, change) {
                self.last = Some((best.score, number));
                self.around = Some((incumbent, number + 1));
                return Some(design);
            }
        }
        self.around = Some((incumbent, usize::MAX));
        None
    }

    /// A neighbour of the best design that was not proposed.
    fn nearby(&mut self, space: &Space, best: &Trial) -> Option<Design> {
        let knows = |axis: &Axis| !matches!(rule(axis), Rule::None);
        // In a space without any known axis, the prior draws designs at random.
        if !space.axes().iter().any(knows) {
            return None;
        }
        let design = best.design.as_ref()?;
        (0..TRIES).find_map(|_| {
            let other = space.neighbour(design, &mut self.draws)?;
            (!self.seen.contains(&other)).then_some(other)
        })
    }
}

impl Proposer for HeuristicPrior {
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError> {
        let best = best(history);
        let design = match best {
            None if history.is_empty() => self.first(space),
            None => None,
            Some(best) => self
                .by_rule(space, best)
                .or_else(|| self.nearby(space, best)),
        };
        let design = design.or_else(|| {
            let drawn = (0..TRIES).find_map(|_| {
                let design = space.draw(&mut self.draws)?;
                (!self.seen.contains(&design)).then_some(design)
            });
            drawn.or_else(|| space.draw(&mut self.draws))
        });
        self.seen.extend(design.clone());
        Ok(proposed(design))
    }
}
