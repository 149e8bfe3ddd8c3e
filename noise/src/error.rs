//! What can be wrong with a request to this crate.

/// An error of the noise crate: one line that names the value and the remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoiseError {
    /// A parameter of a distribution that is not finite or out of range.
    #[error("{distribution}: {key} = {value} is not allowed, use {remedy}")]
    Parameter {
        /// Name of the distribution.
        distribution: &'static str,
        /// The key.
        key: &'static str,
        /// The refused value.
        value: f64,
        /// What is allowed.
        remedy: &'static str,
    },
    /// A law of deviation that is not in this program.
    #[error(
        "`{name}` is a law of another program, of which a document holds the name alone: draw its chips in that program, or choose another kind of noise"
    )]
    UnknownLaw {
        /// The name that it gives itself.
        name: String,
    },
    /// A percentile outside 0..=100.
    #[error("KPP({k}) does not exist: k is a percentage from 0 to 100")]
    Percentile {
        /// The refused percentage.
        k: f64,
    },
    /// A confidence that no interval has.
    #[error("confidence = {confidence} is not between 0 and 1, such as 0.95")]
    Confidence {
        /// The refused confidence.
        confidence: f64,
    },
    /// A probability that a race cannot give to the items that it does not look at.
    #[error("delta = {delta} is not between 0 and the confidence {confidence}, such as 0.01")]
    Delta {
        /// The refused probability.
        delta: f64,
        /// The confidence that it is taken from.
        confidence: f64,
    },
    /// A half-width that no interval of fractions has.
    #[error("half-width = {half_width} is not between 0 and 0.5, such as 0.01 for one point")]
    HalfWidth {
        /// The refused half-width, as a fraction.
        half_width: f64,
    },
    /// A test set without items.
    #[error("there are no items to look at: use at least one")]
    Items,
    /// A percentage that has no rare quantile.
    #[error(
        "the quantile at {percent} % does not exist: use a percentage above 0 and below 100, such as 0.1"
    )]
    Percentage {
        /// The refused percentage.
        percent: f64,
    },
    /// Levels of a subset simulation that cannot be made.
    #[error(
        "{chips} chips a level at a conditional probability of {conditional} are too few: use at least {least} chips and a probability from 0.01 to 0.5"
    )]
    Levels {
        /// Chips of a level.
        chips: usize,
        /// The conditional probability.
        conditional: f64,
        /// The fewest chips.
        least: usize,
    },
    /// A direction without length.
    #[error(
        "a direction of length {length} points nowhere: use deviations that are finite and not all 0"
    )]
    Direction {
        /// Its length.
        length: f64,
    },
    /// A shift that draws cannot follow.
    #[error("shift = {shift} is not between 0 and 7 standard deviations, such as 3.1 for 0.1 %")]
    Shift {
        /// The refused shift.
        shift: f64,
    },
    /// A statistic of no chip at all.
    #[error("the population has no chips: evaluate at least one")]
    Empty,
    /// Populations that are not parts of one.
    #[error("the shards are not of one population: seeds {first} and {second}")]
    Seeds {
        /// One seed.
        first: u64,
        /// Another.
        second: u64,
    },
    /// Chips that are missing between two shards, or are in both.
    #[error("the shards do not join: chips {end} and {start} should be the same, {what}")]
    Join {
        /// Where one shard ends.
        end: u64,
        /// Where the next starts.
        start: u64,
        /// What that means.
        what: &'static str,
    },
    /// Bits that a cell does not divide.
    #[error(
        "{bits}-bit weights cannot be cut into {bits_per_cell}-bit cells: use a divisor from 1 on, and at most 16 bits"
    )]
    Cells {
        /// Bits of the weight's magnitude.
        bits: u32,
        /// Bits of a cell.
        bits_per_cell: u32,
    },
    /// A bound of a worst-case search outside 0..=1.
    #[error(
        "bound = {bound} is not allowed, use a fraction of the largest weight of a layer from 0 to 1, such as 0.03"
    )]
    Bound {
        /// The refused bound.
        bound: f64,
    },
    /// A path at which no weight can be put on an array.
    #[error("there is no weight of rank two or more at `{path}`: use one of {}", known.join(", "))]
    NoWeight {
        /// The refused path.
        path: String,
        /// The paths of such weights.
        known: Vec<String>,
    },
    /// A weight that carries a reparameterization already.
    #[error(
        "`{path}` carries a `{what}` already, and Burn attaches one thing to a weight: materialize the network first, or \
         take what is attached off"
    )]
    Attached {
        /// Path of the weight.
        path: String,
        /// Name of what it carries.
        what: String,
    },
    /// Two deviations of one weight.
    #[error(
        "`{path}` and `{other}` are one weight, and their deviations differ: give one of them, or the same for both"
    )]
    Shared {
        /// One path of the weight.
        path: String,
        /// Another.
        other: String,
    },
    /// A value that no network computes with.
    #[error("entry {place:?} of `{path}` is {value}, {remedy}")]
    Value {
        /// Path of the parameter or running statistic.
        path: String,
        /// Index of the entry, one number per axis.
        place: Vec<usize>,
        /// The value.
        value: f32,
        /// What should stand there.
        remedy: &'static str,
    },
    /// More than memory is meant for.
    #[error("{count} {what} are more than {most}: {each} bytes of each are kept, use fewer")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many were asked for.
        count: u64,
        /// The most.
        most: u64,
        /// Bytes that each takes.
        each: u64,
    },
    /// A network in which nothing can deviate.
    #[error(
        "no weight of the network lies on an array, so nothing can deviate: use one with linear or convolutional layers that are not \
         digital"
    )]
    NoWeights,
    /// A box of deviations without zero in it.
    #[error(
        "entry {index} of `{path}` may deviate from {low} to {high}: give finite ends with zero between them"
    )]
    Box {
        /// Path of the weight.
        path: String,
        /// Entry of the weight, in row-major order.
        index: usize,
        /// The lower end; NaN where there is none.
        low: f32,
        /// The upper end; NaN where there is none.
        high: f32,
    },
    /// Deviations of another weight.
    #[error(
        "the deviation of `{path}` has {found} entries, the weight has {expected}: give one deviation per weight"
    )]
    OtherWeights {
        /// Path of the weight.
        path: String,
        /// Entries of the weight, 0 where there is none.
        expected: usize,
        /// Entries of the deviation, 0 where there is none.
        found: usize,
    },
    /// A setting of a worst-case search that is out of range.
    #[error("{search}: {key} = {value} is not allowed, use {remedy}")]
    Search {
        /// Name of the search.
        search: &'static str,
        /// The key.
        key: &'static str,
        /// The refused value.
        value: f64,
        /// What is allowed.
        remedy: &'static str,
    },
    /// A loss or gradient that is not finite.
    #[error(
        "the {what} is not finite in restart {restart}, iteration {iteration}: lower the bound, or check that the network computes finite outputs"
    )]
    NotFinite {
        /// The loss, or the gradient of which weight.
        what: String,
        /// Restart, from 0.
        restart: usize,
        /// Iteration of the restart, from 0.
        iteration: usize,
    },
    /// A state of a search in another box.
    #[error("the state of the search belongs to another network or search: start without a state")]
    OtherState,
}
