//! Conditions on elements, and what is chosen by them.

use super::super::host::{Elements, Host, common_shape};
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "And",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Not",
    "Or",
    "Where",
    "Xor",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let kind = node.proto.op_type.as_str();
    Ok(match kind {
        "Not" => Some(Box::new(Not)),
        "Where" => Some(Box::new(Where)),
        _ => Comparison::of(kind).map(|operator| Box::new(operator) as Box<dyn Operator>),
    })
}

/// A condition on two elements.
#[derive(Clone, Copy, Debug)]
enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    And,
    Or,
    Xor,
}

impl Comparison {
    fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "Equal" => Self::Equal,
            "Greater" => Self::Greater,
            "GreaterOrEqual" => Self::GreaterOrEqual,
            "Less" => Self::Less,
            "LessOrEqual" => Self::LessOrEqual,
            "And" => Self::And,
            "Or" => Self::Or,
            "Xor" => Self::Xor,
            _ => return None,
        })
    }

    fn holds<T: PartialOrd + Into<f64> + Copy>(self, a: T, b: T) -> bool {
        let (x, y) = (a.into() != 0.0, b.into() != 0.0);
        match self {
            Self::Equal => a == b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::And => x && y,
            Self::Or => x || y,
            Self::Xor => x != y,
        }
    }
}

impl Operator for Comparison {
    fn watched(&self) -> &'static [usize] {
        &[0, 1]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let (a, b) = (on_host(call.value(0)?)?, on_host(call.value(1)?)?);
        let shape = common_shape(a.shape(), b.shape())?;
        let (a, b) = (a.spread(&shape)?, b.spread(&shape)?);
        let holds = match a.is_float() || b.is_float() {
            true => {
                let pairs = a.floats().into_iter().zip(b.floats());
                pairs.map(|(a, b)| self.holds(a, b)).collect()
            }
            // Whole numbers of shapes and indices are exact as doubles: they stay below 2^53.
            false => {
                let pairs = a.integers()?.into_iter().zip(b.integers()?);
                pairs.map(|(a, b)| self.holds(a as f64, b as f64)).collect()
            }
        };
        one(Value::host(Host::new(shape, Elements::Conditions(holds))?))
    }
}

/// The value on the host: no gradient passes through a condition.
pub(super) fn on_host(value: &Value) -> Result<Host, String> {
    match value {
        Value::Host(host) => Ok(host.as_ref().clone()),
        Value::Dense(dense) => {
            let shape = dense.shape().to_vec();
            Host::new(shape, Elements::Floats(dense.clone().values()?))
        }
    }
}

/// The opposite condition.
#[derive(Debug)]
struct Not;

impl Operator for Not {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let host = call.host(0)?;
        let opposite = host.conditions().into_iter().map(|x| !x).collect();
        let shape = host.shape().to_vec();
        one(Value::host(Host::new(
            shape,
            Elements::Conditions(opposite),
        )?))
    }
}

/// One of two values by a condition.
#[derive(Debug)]
struct Where;

impl Operator for Where {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let condition = call.host(0)?;
        if let (Value::Host(a), Value::Host(b)) = (call.value(1)?, call.value(2)?)
            && !a.is_float()
            && !b.is_float()
        {
            let shape = common_shape(a.shape(), b.shape())?;
            let shape = common_shape(&shape, condition.shape())?;
            let holds = condition.spread(&shape)?.conditions();
            let (a, b) = (a.spread(&shape)?.integers()?, b.spread(&shape)?.integers()?);
            let values = holds.iter().zip(a.iter().zip(&b));
            let values = values.map(|(holds, (a, b))| if *holds { *a } else { *b });
            let host = Host::new(shape, Elements::Integers(values.collect()))?;
            return one(Value::host(host));
        }
        let chosen = call.dense(1)?.where_holds(condition, call.dense(2)?)?;
        one(Value::Dense(chosen))
    }
}
