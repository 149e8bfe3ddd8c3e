//! Functions of one element or of the elements at one place: arithmetic, limits, types.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Tensor;

use super::super::dense::Dense;
use super::super::host::{Elements, Host, common_shape};
use super::super::node::{Failure, Node};
use super::super::stored_tensor::{Becomes, WholeType};
use super::super::value::{Call, Value};
use super::condition::on_host;
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "Abs",
    "Add",
    "Cast",
    "Ceil",
    "Clip",
    "Cos",
    "Div",
    "Erf",
    "Exp",
    "Floor",
    "Log",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Neg",
    "Pow",
    "Reciprocal",
    "Round",
    "Sign",
    "Sin",
    "Sqrt",
    "Sub",
    "Sum",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let kind = node.proto.op_type.as_str();
    if let Some(operator) = Unary::of(kind) {
        return Ok(Some(Box::new(operator)));
    }
    let arithmetic = match kind {
        "Mod" => Some(Arithmetic::Mod {
            of_dividend: node.attributes.flag("fmod", false)?,
        }),
        kind => Arithmetic::of(kind),
    };
    if let Some(operator) = arithmetic {
        let sums_many = matches!(kind, "Max" | "Min" | "Sum" | "Mean");
        let inputs = node.proto.input.len();
        if (sums_many && inputs == 0) || (!sums_many && inputs != 2) {
            return Err(format!("it has {inputs} inputs").into());
        }
        let exponent = node.constant(1).filter(|_| kind == "Pow");
        return Ok(Some(Box::new(Folded {
            operator,
            mean: kind == "Mean",
            fixed_exponent: exponent.is_some_and(|x| x.shape().iter().product::<usize>() == 1),
        })));
    }
    let attributes = &node.attributes;
    Ok(Some(match kind {
        "Clip" => Box::new(Clip {
            low: attributes.given_float("min")?,
            high: attributes.given_float("max")?,
        }),
        "Cast" => {
            // Only said of casts to types of eight bits, which are not read.
            attributes.int("saturate", 1)?;
            let to = i32::try_from(attributes.int("to", 0)?).unwrap_or_default();
            Box::new(Cast {
                becomes: Becomes::of(to)?,
                whole: WholeType::of(to),
            })
        }
        _ => return Ok(None),
    }))
}

/// A function of one element.
#[derive(Clone, Copy, Debug)]
enum Unary {
    Abs,
    Ceil,
    Cos,
    Erf,
    Exp,
    Floor,
    Log,
    Neg,
    Reciprocal,
    Round,
    Sign,
    Sin,
    Sqrt,
}

impl Unary {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "Abs" => Self::Abs,
            "Ceil" => Self::Ceil,
            "Cos" => Self::Cos,
            "Erf" => Self::Erf,
            "Exp" => Self::Exp,
            "Floor" => Self::Floor,
            "Log" => Self::Log,
            "Neg" => Self::Neg,
            "Reciprocal" => Self::Reciprocal,
            "Round" => Self::Round,
            "Sign" => Self::Sign,
            "Sin" => Self::Sin,
            "Sqrt" => Self::Sqrt,
            _ => return None,
        })
    }

    fn of_integer(self, x: i64) -> Option<i64> {
        match self {
            Self::Abs => x.checked_abs(),
            Self::Neg => x.checked_neg(),
            Self::Sign => Some(x.signum()),
            Self::Ceil | Self::Floor | Self::Round => Some(x),
            _ => None,
        }
    }
}

impl Operator for Unary {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        if let Value::Host(host) = call.value(0)?
            && let Elements::Integers(values) = host.elements()
        {
            let values = values.iter().map(|x| self.of_integer(*x));
            let values: Option<Vec<i64>> = values.collect();
            let values = values.ok_or("it does not take such whole numbers")?;
            let host = Host::new(host.shape().to_vec(), Elements::Integers(values))?;
            return one(Value::host(host));
        }
        let x = call.dense(0)?;
        let y = match self {
            Self::Abs => x.each(|x| x.abs()),
            Self::Ceil => x.each(|x| x.ceil()),
            Self::Cos => x.each(|x| x.cos()),
            Self::Erf => x.each(crossburn_kernels::erf),
            Self::Exp => x.each(crossburn_kernels::exp),
            Self::Floor => x.each(|x| x.floor()),
            Self::Log => x.each(|x| x.log()),
            Self::Neg => x.each(|x| x.neg()),
            Self::Reciprocal => x.each(|x| x.recip()),
            // Both round halves to even.
            Self::Round => x.each(|x| x.round()),
            Self::Sign => x.each(|x| x.sign()),
            Self::Sin => x.each(|x| x.sin()),
            Self::Sqrt => x.each(|x| x.sqrt()),
        };
        one(Value::Dense(y))
    }
}

/// A function of two numbers.
#[derive(Clone, Copy, Debug)]
enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    /// The remainder of a division.
    Mod {
        /// Whether it has the sign of the dividend rather than of the divisor.
        of_dividend: bool,
    },
    Pow,
    Max,
    Min,
}

impl Arithmetic {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "Add" | "Sum" | "Mean" => Self::Add,
            "Sub" => Self::Sub,
            "Mul" => Self::Mul,
            "Div" => Self::Div,
            "Pow" => Self::Pow,
            "Max" => Self::Max,
            "Min" => Self::Min,
            _ => return None,
        })
    }

    fn of_integers(self, a: i64, b: i64) -> Option<i64> {
        match self {
            Self::Add => a.checked_add(b),
            Self::Sub => a.checked_sub(b),
            Self::Mul => a.checked_mul(b),
            Self::Div => a.checked_div(b),
            Self::Mod { of_dividend } => match a.checked_rem(b)? {
                rest if !of_dividend && rest != 0 && (rest < 0) != (b < 0) => Some(rest + b),
                rest => Some(rest),
            },
            Self::Pow => a.checked_pow(u32::try_from(b).ok()?),
            Self::Max => Some(a.max(b)),
            Self::Min => Some(a.min(b)),
        }
    }

    fn apply(self, left: &Value, right: &Value, call: &Call<'_>) -> Result<Value, String> {
        if let (Value::Host(a), Value::Host(b)) = (left, right)
            && !a.is_float()
            && !b.is_float()
        {
            return self.on_host(a, b).map(Value::host);
        }
        let (left, right) = (left.dense(call.device), right.dense(call.device));
        let result = match self {
            Self::Add => left.with(right, Dispatch::float_add),
            Self::Sub => left.with(right, Dispatch::float_sub),
            Self::Mul => left.with(right, Dispatch::float_mul),
            Self::Div => left.with(right, Dispatch::float_div),
            Self::Mod { .. } => Err(
                "it divides floats, and is only known of whole numbers: compute x - floor(x / y) * y"
                    .to_string(),
            ),
            Self::Pow => power(left, right),
            Self::Max => extreme(left, right, |a, b| a.max_pair(b)),
            Self::Min => extreme(left, right, |a, b| a.min_pair(b)),
        };
        result.map(Value::Dense)
    }

    fn on_host(self, a: &Host, b: &Host) -> Result<Host, String> {
        let shape = common_shape(a.shape(), b.shape())?;
        let (a, b) = (a.spread(&shape)?.integers()?, b.spread(&shape)?.integers()?);
        let values = a.iter().zip(&b).map(|(a, b)| self.of_integers(*a, *b));
        let values: Option<Vec<i64>> = values.collect();
        let values = values.ok_or("its whole numbers have no such result")?;
        Host::new(shape, Elements::Integers(values))
    }
}

/// `base ^ exponent`; squares and roots by themselves, since a general power has no gradient where the base is negative.
fn power(base: Dense, exponent: Dense) -> Result<Dense, String> {
    if exponent.shape().iter().product::<usize>() == 1 {
        let rank = exponent.rank();
        let value = exponent.values()?[0];
        let base = match rank > base.rank() {
            true => base.with_rank(rank),
            false => base,
        };
        return Ok(match value {
            2.0 => base.each(|x| x.clone() * x),
            3.0 => base.each(|x| x.clone() * x.clone() * x),
            0.5 => base.each(|x| x.sqrt()),
            value => base.each(|x| x.powf_scalar(value)),
        });
    }
    base.with(exponent, Dispatch::float_powf)
}

/// The larger or smaller of two elements.
fn extreme(
    left: Dense,
    right: Dense,
    choose: fn(Tensor<1>, Tensor<1>) -> Tensor<1>,
) -> Result<Dense, String> {
    let shape = common_shape(left.shape(), right.shape())?;
    let (left, right) = (left.spread(&shape)?, right.spread(&shape)?);
    Ok(Dense::flat(
        choose(left.flattened(), right.flattened()),
        shape,
    ))
}

/// One function over all inputs, from the first on.
#[derive(Debug)]
struct Folded {
    operator: Arithmetic,
    /// Whether the result is divided by the number of inputs.
    mean: bool,
    /// Whether its second input is a stored exponent, by whose value the power is computed.
    fixed_exponent: bool,
}

impl Operator for Folded {
    fn settings(&self) -> &'static [usize] {
        match self.fixed_exponent {
            true => &[1],
            false => &[],
        }
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let mut result = call.value(0)?.clone();
        for input in 1..call.inputs.len() {
            result = self.operator.apply(&result, call.value(input)?, call)?;
        }
        if self.mean {
            let count = call.inputs.len() as f32;
            result = Value::Dense(result.dense(call.device).each(|x| x / count));
        }
        one(result)
    }
}

/// The same values as another type.
#[derive(Debug)]
struct Cast {
    becomes: Becomes,
    /// The type, where it is one of whole numbers.
    whole: Option<WholeType>,
}

impl Cast {
    /// Refuses a value that its type of whole numbers does not hold: programs wrap it around or cut it off, each in its own way.
    fn require(&self, place: usize, value: i128) -> Result<i64, String> {
        let Some(whole) = &self.whole else {
            return Err("its type has no whole numbers".to_string());
        };
        let held = i64::try_from(value).ok();
        held.filter(|value| whole.range.contains(value))
            .ok_or_else(|| {
                format!(
                    "value {place} of its input is {value}, outside of {} ({} to {}): clip the values before it",
                    whole.name,
                    whole.range.start(),
                    whole.range.end()
                )
            })
    }
}

impl Operator for Cast {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let host = match (call.value(0)?, self.becomes) {
            (Value::Dense(dense), Becomes::Floats) => return one(Value::Dense(dense.clone())),
            (value, _) => on_host(value)?,
        };
        let elements = match (self.becomes, host.elements()) {
            (Becomes::Floats, _) => Elements::Floats(host.floats()),
            (Becomes::Conditions, _) => Elements::Conditions(host.conditions()),
            (Becomes::Integers, Elements::Floats(values)) => {
                let whole = |(place, x): (usize, &f32)| match x.is_finite() {
                    true => self.require(place, *x as i128),
                    false => Err(format!(
                        "value {place} of its input is {x}, which is no whole number: look for a division by zero before it"
                    )),
                };
                let whole = values.iter().enumerate().map(whole);
                Elements::Integers(whole.collect::<Result<_, _>>()?)
            }
            (Becomes::Integers, _) => {
                let values = host.integers()?;
                let whole = values.iter().enumerate();
                let whole = whole.map(|(place, x)| self.require(place, i128::from(*x)));
                Elements::Integers(whole.collect::<Result<_, _>>()?)
            }
        };
        one(Value::host(Host::new(host.shape().to_vec(), elements)?))
    }
}

/// Values between two limits, which are attributes or inputs.
#[derive(Debug)]
struct Clip {
    low: Option<f32>,
    high: Option<f32>,
}

impl Clip {
    fn limit(call: &Call<'_>, input: usize, own: Option<f32>) -> Result<Option<f32>, String> {
        if call.given(input).is_none() {
            return Ok(own);
        }
        match call.host(input)?.floats().as_slice() {
            [limit] if limit.is_nan() => Err("one of its limits is no number".to_string()),
            [limit] => Ok(Some(*limit)),
            _ => Err("its limits are not single numbers".to_string()),
        }
    }

    /// A limit of whole numbers. Above 2^24 not all are 32-bit floats.
    fn whole_limit(call: &Call<'_>, input: usize) -> Result<Option<i64>, String> {
        if call.given(input).is_none() {
            return Ok(None);
        }
        match call.integers(input)?.as_slice() {
            [limit] => Ok(Some(*limit)),
            _ => Err("its limits are not single numbers".to_string()),
        }
    }
}

impl Operator for Clip {
    fn settings(&self) -> &'static [usize] {
        &[1, 2]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        if let Value::Host(host) = call.value(0)?
            && let Elements::Integers(values) = host.elements()
        {
            let low = Self::whole_limit(call, 1)?.unwrap_or(i64::MIN);
            let high = Self::whole_limit(call, 2)?.unwrap_or(i64::MAX);
            let clipped = values.iter().map(|x| (*x).max(low).min(high));
            let clipped = Elements::Integers(clipped.collect());
            return one(Value::host(Host::new(host.shape().to_vec(), clipped)?));
        }
        let low = Self::limit(call, 1, self.low)?;
        let high = Self::limit(call, 2, self.high)?;
        let mut x = call.dense(0)?;
        if let Some(low) = low {
            x = x.each(|x| x.clamp_min(low));
        }
        if let Some(high) = high {
            x = x.each(|x| x.clamp_max(high));
        }
        one(Value::Dense(x))
    }
}
