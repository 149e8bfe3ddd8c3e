//! Blocks of pixels as channels, and channels as blocks of pixels.

use super::super::node::{Failure, Node};
use super::super::value::{Call, Value};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["DepthToSpace", "SpaceToDepth"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    Ok(Some(match node.proto.op_type.as_str() {
        "DepthToSpace" => Box::new(Blocks {
            size: block_size(attributes.int("blocksize", 0)?)?,
            way: match attributes.text("mode", "DCR")?.as_str() {
                "DCR" => Way::DepthFirst,
                "CRD" => Way::ColumnFirst,
                other => return Err(format!("mode = {other:?} is not known").into()),
            },
        }),
        "SpaceToDepth" => Box::new(Blocks {
            size: block_size(attributes.int("blocksize", 0)?)?,
            way: Way::ToDepth,
        }),
        _ => return Ok(None),
    }))
}

fn block_size(size: i64) -> Result<usize, Failure> {
    let size = usize::try_from(size)
        .ok()
        .filter(|size| (1..=1 << 10).contains(size));
    size.ok_or_else(|| "its blocksize is not a size".to_string().into())
}

/// Blocks of pixels as channels, or channels as blocks of pixels.
#[derive(Debug)]
struct Blocks {
    size: usize,
    way: Way,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    /// Channels to blocks; a channel's place in its block is counted first.
    DepthFirst,
    /// Channels to blocks; a channel's place in its block is counted last.
    ColumnFirst,
    /// Blocks to channels.
    ToDepth,
}

impl Operator for Blocks {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let (b, shape) = (self.size, x.shape().to_vec());
        let [n, c, h, w] = shape.as_slice() else {
            return Err(format!("its input has the shape {shape:?}, not four axes"));
        };
        let (n, c, h, w) = (*n, *c, *h, *w);
        let fits = match self.way {
            Way::ToDepth => h % b == 0 && w % b == 0,
            _ => c % (b * b) == 0,
        };
        if !fits {
            return Err(format!("blocks of {b} do not fit into {shape:?}"));
        }
        let (cut, order, out): ([usize; 6], [usize; 6], Vec<usize>) = match self.way {
            Way::DepthFirst => (
                [n, b, b, c / (b * b), h, w],
                [0, 3, 4, 1, 5, 2],
                vec![n, c / (b * b), h * b, w * b],
            ),
            Way::ColumnFirst => (
                [n, c / (b * b), b, b, h, w],
                [0, 1, 4, 2, 5, 3],
                vec![n, c / (b * b), h * b, w * b],
            ),
            Way::ToDepth => (
                [n, c, h / b, b, w / b, b],
                [0, 3, 5, 1, 2, 4],
                vec![n, c * b * b, h / b, w / b],
            ),
        };
        let turned = x.reshaped(cut.to_vec())?.permuted(&order)?;
        one(Value::Dense(turned.reshaped(out)?))
    }
}
