//! Weights that rest while others learn: they come from elsewhere, so that a checkpoint leaves them out.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, Int, Tensor};
use crossburn_noise::PathPattern;

/// Whether the parameter at `path` is one of `patterns`, of a module or of one inside it.
pub(crate) fn rests(path: &str, patterns: &[PathPattern]) -> bool {
    patterns.iter().any(|pattern| {
        pattern.matches(path) || PathPattern::new(format!("*.{pattern}")).matches(path)
    })
}

/// Identities of the parameters of `module` that do not rest, and how many there are.
pub(crate) fn learned<M: Module>(module: &M, patterns: &[PathPattern]) -> (Vec<ParamId>, usize) {
    let mut learned = Learned {
        patterns,
        path: Vec::new(),
        ids: BTreeSet::new(),
        count: 0,
    };
    module.visit(&mut learned);
    (learned.ids.into_iter().collect(), learned.count)
}

struct Learned<'a> {
    patterns: &'a [PathPattern],
    path: Vec<String>,
    ids: BTreeSet<ParamId>,
    count: usize,
}

impl Learned<'_> {
    fn meet(&mut self, id: ParamId) {
        if !rests(&self.path.join("."), self.patterns) {
            self.ids.insert(id);
            self.count += 1;
        }
    }
}

impl ModuleVisitor for Learned<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.meet(param.id);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.meet(param.id);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.meet(param.id);
    }
}
