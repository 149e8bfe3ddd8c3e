//! The attributes of a node, each read by its type; one that nobody reads is refused.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::proto::{AttributeProto, NodeProto, TensorProto};

/// `type` of an attribute.
mod kind {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const INT: i32 = 2;
    pub(super) const STRING: i32 = 3;
    pub(super) const TENSOR: i32 = 4;
    pub(super) const FLOATS: i32 = 6;
    pub(super) const INTS: i32 = 7;
    pub(super) const STRINGS: i32 = 8;
}

/// The attributes of one node.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    all: &'a [AttributeProto],
    read: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(node: &'a NodeProto) -> Self {
        Self {
            all: &node.attribute,
            read: RefCell::default(),
        }
    }

    fn find(&self, name: &str, kind: i32) -> Result<Option<&'a AttributeProto>, String> {
        let Some(attribute) = self.all.iter().find(|attribute| attribute.name == name) else {
            return Ok(None);
        };
        self.read.borrow_mut().insert(&attribute.name);
        // Files of the first versions leave the type out.
        match attribute.kind == kind || attribute.kind == 0 {
            true => Ok(Some(attribute)),
            false => Err(format!("attribute `{name}` has a type that it cannot have")),
        }
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64, String> {
        let found = self.find(name, kind::INT)?;
        Ok(found.map_or(default, |attribute| attribute.i))
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        Ok(self.int(name, i64::from(default))? != 0)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32, String> {
        let found = self.find(name, kind::FLOAT)?;
        Ok(found.map_or(default, |attribute| attribute.f))
    }

    pub(crate) fn given_float(&self, name: &str) -> Result<Option<f32>, String> {
        let found = self.find(name, kind::FLOAT)?;
        Ok(found.map(|attribute| attribute.f))
    }

    pub(crate) fn given_int(&self, name: &str) -> Result<Option<i64>, String> {
        let found = self.find(name, kind::INT)?;
        Ok(found.map(|attribute| attribute.i))
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, String> {
        let found = self.find(name, kind::INTS)?;
        Ok(found.map(|attribute| attribute.ints.clone()))
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, String> {
        let found = self.find(name, kind::FLOATS)?;
        Ok(found.map(|attribute| attribute.floats.clone()))
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> Result<String, String> {
        let found = self.find(name, kind::STRING)?;
        Ok(found.map_or_else(|| default.to_string(), |attribute| text(&attribute.s)))
    }

    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        let found = self.find(name, kind::STRINGS)?;
        Ok(found.map(|attribute| attribute.strings.iter().map(|s| text(s)).collect()))
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>, String> {
        let found = self.find(name, kind::TENSOR)?;
        Ok(found.and_then(|attribute| attribute.t.as_ref()))
    }

    /// Lists of sizes, one for each of `axes` axes; `default` for each where there is none.
    pub(crate) fn sizes<const N: usize>(
        &self,
        name: &str,
        default: usize,
    ) -> Result<[usize; N], String> {
        let Some(values) = self.ints(name)? else {
            return Ok([default; N]);
        };
        let sizes = values.iter().map(|value| usize::try_from(*value).ok());
        let sizes: Option<Vec<usize>> = sizes.collect();
        let sizes = sizes.filter(|sizes| sizes.iter().all(|size| *size <= 1 << 20));
        let sizes = sizes.and_then(|sizes| sizes.try_into().ok());
        sizes.ok_or_else(|| format!("attribute `{name}` is {values:?}, not {N} sizes"))
    }

    /// Refuses an attribute that was not read.
    ///
    /// # Errors
    /// Its name.
    pub(crate) fn require_read(&self) -> Result<(), String> {
        let read = self.read.borrow();
        match self.all.iter().find(|a| !read.contains(a.name.as_str())) {
            Some(unread) => Err(format!("attribute `{}` is not known", unread.name)),
            None => Ok(()),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
