//! The shape of a stored weight, and which of its elements belong to which output channel.

use std::collections::BTreeMap;
use std::ops::Deref;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// How a layer lays out its weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightLayout {
    /// Rank two is `[inputs, outputs]`, as in Burn's linear layers. Any other rank is `[outputs, inputs / groups, taps..]`,
    /// as in its convolutions.
    #[default]
    ByRank,
    /// A transposed convolution: `[inputs, outputs / groups, taps..]`.
    Transposed {
        /// Number of groups; each maps its own inputs to its own outputs.
        groups: usize,
    },
}

/// The shape of a stored weight in Burn's layout, with the meaning of its axes.
///
/// ```
/// use crossburn_noise::{WeightLayout, WeightShape};
///
/// // Two inputs, three outputs, one tap: the middle axis counts outputs.
/// let up = WeightShape::new(&[2, 3, 1], WeightLayout::Transposed { groups: 1 });
/// assert_eq!((up.outputs().count(), up.outputs().of(4)), (3, 1));
/// // A convolution of the same shape has two outputs.
/// let conv = WeightShape::from(&[2, 3, 1]);
/// assert_eq!((conv.outputs().count(), conv.outputs().of(4)), (2, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightShape {
    dims: Vec<usize>,
    layout: WeightLayout,
}

impl WeightShape {
    /// The shape `dims` of a weight that is laid out as `layout` says.
    pub fn new(dims: &[usize], layout: WeightLayout) -> Self {
        Self {
            dims: dims.to_vec(),
            layout,
        }
    }

    /// How the layer lays out its weight.
    pub fn layout(&self) -> WeightLayout {
        self.layout
    }

    /// The output channels of the layer.
    pub fn outputs(&self) -> OutputChannels {
        let (per_group, run, groups) = match (self.layout, self.dims.as_slice()) {
            (_, []) => (1, 1, 1),
            (WeightLayout::Transposed { groups }, [_, outputs, taps @ ..]) => {
                (*outputs, taps.iter().product(), groups.max(1))
            }
            (_, [_, outputs]) => (*outputs, 1, 1),
            (_, [outputs, inner @ ..]) => (*outputs, inner.iter().product(), 1),
        };
        let elements: usize = self.dims.iter().product();
        OutputChannels {
            run: run.max(1),
            per_group: per_group.max(1),
            groups,
            group: (elements / groups).max(1),
        }
    }
}

/// A shape whose axes are laid out by rank.
impl From<&[usize]> for WeightShape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims, WeightLayout::ByRank)
    }
}

impl<const D: usize> From<&[usize; D]> for WeightShape {
    fn from(dims: &[usize; D]) -> Self {
        Self::from(dims.as_slice())
    }
}

impl From<&WeightShape> for WeightShape {
    fn from(shape: &WeightShape) -> Self {
        shape.clone()
    }
}

impl Deref for WeightShape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.dims
    }
}

impl<const D: usize> PartialEq<[usize; D]> for WeightShape {
    fn eq(&self, dims: &[usize; D]) -> bool {
        self.dims == dims
    }
}

/// The output channels of a weight: which element, in row-major order, belongs to which channel. The channels of a group lie
/// next to each other.
#[derive(Clone, Copy, Debug)]
pub struct OutputChannels {
    run: usize,
    /// Channels of one group.
    per_group: usize,
    groups: usize,
    /// Elements of one group.
    group: usize,
}

impl OutputChannels {
    /// Channels of all groups.
    pub fn count(&self) -> usize {
        self.per_group * self.groups
    }

    /// Neighbours in memory that belong to the same channel.
    pub fn run(&self) -> usize {
        self.run
    }

    /// Whether the channel of every element is the place in its row, as in a linear layer.
    pub(crate) fn in_rows(&self) -> bool {
        self.run == 1 && self.groups == 1
    }

    /// The channel of the element at `index`.
    pub fn of(&self, index: usize) -> usize {
        let channel = index / self.run % self.per_group;
        match self.groups {
            1 => channel,
            groups => (index / self.group).min(groups - 1) * self.per_group + channel,
        }
    }
}

/// The layouts of the weights of a module, by path.
#[derive(Clone, Debug, Default)]
pub struct WeightLayouts {
    transposed: BTreeMap<String, usize>,
}

impl WeightLayouts {
    /// The layouts of `module`, from the kinds of its layers.
    ///
    /// Burn shows a visitor the kind of a layer, but not its groups. For a transposed convolution, the number of groups
    /// follows from the length of its bias. Without a bias, it counts as one group, so the channels at the same place of all
    /// groups count as one output channel.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut collect = Collect::default();
        module.visit(&mut collect);
        Self {
            transposed: collect.transposed,
        }
    }

    /// The layout of the weight at `path`.
    pub fn layout(&self, path: &str) -> WeightLayout {
        match self.transposed.get(path) {
            Some(groups) => WeightLayout::Transposed { groups: *groups },
            None => WeightLayout::ByRank,
        }
    }

    /// The shape `dims` of the weight at `path`.
    pub fn shape(&self, path: &str, dims: &[usize]) -> WeightShape {
        WeightShape::new(dims, self.layout(path))
    }
}

/// The layers of Burn whose weight has its outputs on the second axis.
const TRANSPOSED: [&str; 3] = [
    "Struct:ConvTranspose1d",
    "Struct:ConvTranspose2d",
    "Struct:ConvTranspose3d",
];

#[derive(Default)]
struct Collect {
    path: Vec<String>,
    containers: Vec<String>,
    transposed: BTreeMap<String, usize>,
    /// Path and outputs per group of the weight that was met last.
    last: Option<(String, usize)>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let container = self.containers.last().map_or("", String::as_str);
        let (Some((name, layer)), true) = (self.path.split_last(), TRANSPOSED.contains(&container))
        else {
            return;
        };
        let sibling = |name: &str| {
            let path = layer.iter().map(String::as_str).chain([name]);
            path.collect::<Vec<_>>().join(".")
        };
        let shape = param.lazy_shape();
        match (name.as_str(), shape.as_slice()) {
            ("weight", [_, outputs, ..]) => {
                let path = sibling("weight");
                self.transposed.insert(path.clone(), 1);
                self.last = Some((path, *outputs));
            }
            // A layer declares its bias after its weight.
            ("bias", [all]) => {
                let weight = self.last.take();
                if let Some((path, outputs)) = weight.filter(|(path, _)| *path == sibling("weight"))
                    && outputs > 0
                {
                    self.transposed.insert(path, (all / outputs).max(1));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::conv::{
        Conv2d, Conv2dConfig, ConvTranspose1d, ConvTranspose1dConfig, ConvTranspose2d,
        ConvTranspose2dConfig, ConvTranspose3d, ConvTranspose3dConfig,
    };
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

    use super::*;

    #[derive(Module, Debug)]
    struct Layers {
        fc: Linear,
        conv: Conv2d,
        line: ConvTranspose1d,
        images: Vec<ConvTranspose2d>,
        volume: ConvTranspose3d,
    }

    #[test]
    fn layouts_follow_the_kind_of_the_layer() {
        let device = Device::flex();
        let image = |groups: usize, bias: bool| {
            ConvTranspose2dConfig::new([4, 6], [2, 2])
                .with_groups(groups)
                .with_bias(bias)
                .init(&device)
        };
        let layers = Layers {
            fc: LinearConfig::new(4, 6).init(&device),
            conv: Conv2dConfig::new([4, 6], [2, 2])
                .with_groups(2)
                .init(&device),
            line: ConvTranspose1dConfig::new([4, 6], 3).init(&device),
            images: vec![image(2, true), image(2, false), image(1, true)],
            volume: ConvTranspose3dConfig::new([4, 6], [1, 2, 3]).init(&device),
        };
        let layouts = WeightLayouts::of(&layers);
        let transposed = |groups| WeightLayout::Transposed { groups };
        for (path, expected) in [
            ("fc.weight", WeightLayout::ByRank),
            ("conv.weight", WeightLayout::ByRank),
            ("line.weight", transposed(1)),
            ("images.0.weight", transposed(2)),
            // Nothing tells the groups of a layer without a bias.
            ("images.1.weight", transposed(1)),
            ("images.2.weight", transposed(1)),
            ("volume.weight", transposed(1)),
        ] {
            assert_eq!(layouts.layout(path), expected, "{path}");
        }
    }

    /// What an output of a transposed convolution is, found by running one: the channel that a weight reaches.
    #[test]
    fn outputs_are_those_that_a_weight_reaches() {
        let device = Device::flex();
        for groups in [1, 2] {
            let mut layer = ConvTranspose2dConfig::new([4, 6], [2, 1])
                .with_groups(groups)
                .init(&device);
            let dims = layer.weight.dims();
            let shape = WeightLayouts::of(&layer).shape("weight", &dims);
            let outputs = shape.outputs();
            assert_eq!(outputs.count(), 6);
            layer.bias = None;
            for index in 0..shape.iter().product() {
                let mut values = vec![0.0f32; shape.iter().product()];
                values[index] = 1.0;
                let alone = Tensor::<1>::from_floats(&values[..], &device).reshape(dims);
                layer.weight = layer.weight.map(|_| alone);
                let y = layer.forward(Tensor::ones([1, 4, 1, 1], &device));
                let sums: Vec<f32> = y
                    .sum_dim(2)
                    .into_data()
                    .try_into_vec_as()
                    .unwrap_or_default();
                let reached = sums.iter().position(|sum| *sum != 0.0);
                assert_eq!(Some(outputs.of(index)), reached, "{groups} {index}");
            }
        }
    }
}
