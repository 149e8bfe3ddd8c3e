//! Padding: elements before and after an axis, or fewer of its own.

use super::super::dense::Dense;
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["Pad"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    Ok(Some(Box::new(Pad {
        mode: match attributes.text("mode", "constant")?.as_str() {
            "constant" => Mode::Constant,
            "reflect" => Mode::Reflect,
            "edge" => Mode::Edge,
            other => return Err(format!("mode = {other:?} is not known").into()),
        },
        pads: attributes.ints("pads")?,
        value: attributes.float("value", 0.0)?,
    })))
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Constant,
    Reflect,
    Edge,
}

#[derive(Debug)]
struct Pad {
    mode: Mode,
    /// Of versions that have them as an attribute.
    pads: Option<Vec<i64>>,
    value: f32,
}

impl Operator for Pad {
    fn settings(&self) -> &'static [usize] {
        &[1, 2, 3]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let rank = x.rank();
        let (pads, value) = match &self.pads {
            Some(pads) => (pads.clone(), self.value),
            None => {
                let value = match call.given(2) {
                    Some(_) => call.host(2)?.floats().first().copied().unwrap_or_default(),
                    None => 0.0,
                };
                (call.integers(1)?, value)
            }
        };
        let axes: Vec<usize> = match call.given(3) {
            Some(_) => {
                let axes = call.integers(3)?;
                let axes = axes.iter().map(|axis| axis_of(*axis, rank));
                axes.collect::<Result<_, _>>()?
            }
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(format!(
                "{} pads are not two for each of {} axes",
                pads.len(),
                axes.len()
            ));
        }
        let mut padded = x;
        for (number, axis) in axes.iter().enumerate() {
            let (before, after) = (pads[number], pads[number + axes.len()]);
            padded = self.along(padded, *axis, before, after, value)?;
        }
        one(Value::Dense(padded))
    }
}

impl Pad {
    /// Pads one axis; negative numbers cut.
    fn along(
        &self,
        x: Dense,
        axis: usize,
        before: i64,
        after: i64,
        value: f32,
    ) -> Result<Dense, String> {
        let count = |pad: i64| {
            let count = usize::try_from(pad.max(0))
                .ok()
                .filter(|count| *count <= 1 << 24);
            count.ok_or_else(|| format!("a padding of {pad} is too large"))
        };
        let cut = |pad: i64| count(pad.saturating_neg());
        let (off, end) = (cut(before)?, cut(after)?);
        let size = x.shape()[axis];
        let left = size.saturating_sub(off.saturating_add(end));
        let x = x.every(axis, off, left, 1)?;
        let (before, after) = (count(before)?, count(after)?);
        if before + after == 0 {
            return Ok(x);
        }
        let largest = match self.mode {
            Mode::Constant => return x.padded(axis, before, after, value),
            Mode::Edge => usize::MAX,
            Mode::Reflect => left - 1,
        };
        if before > largest || after > largest {
            return Err(format!(
                "{left} elements are not enough to reflect {before} and {after}"
            ));
        }
        let place = |at: usize| match self.mode {
            Mode::Reflect => match at {
                at if at < before => before - at,
                at if at < before + left => at - before,
                at => 2 * left - 2 - (at - before),
            },
            _ => at.saturating_sub(before).min(left - 1),
        };
        let places: Vec<usize> = (0..before + left + after).map(place).collect();
        x.selected(axis, &places)
    }
}
