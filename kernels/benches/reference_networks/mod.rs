//! The networks of the side-by-side figures, with the shapes of `torch_reference.py`: LeNet-5, a VGG-like network, a
//! convolutional network on lines, a GPT.

use burn::module::Module;
use burn::nn::conv::{Conv1d, Conv1dConfig, Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig, PaddingConfig1d, PaddingConfig2d,
};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Distribution, Int, Tensor, activation};
use crossburn_kernels::{self as kernels, AttentionOptions};

/// Whose operations a network runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Kernels,
    Burn,
}

impl By {
    fn conv2d(self, layer: &Conv2d, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kernels => kernels::conv2d(layer, x),
            Self::Burn => layer.forward(x),
        }
    }

    fn conv1d_relu(self, layer: &Conv1d, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Kernels => kernels::conv1d_relu(layer, x),
            Self::Burn => activation::relu(layer.forward(x)),
        }
    }

    fn linear<const D: usize>(self, layer: &Linear, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Kernels => kernels::linear(layer, x),
            Self::Burn => layer.forward(x),
        }
    }

    fn relu<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Kernels => kernels::relu(x),
            Self::Burn => activation::relu(x),
        }
    }

    fn gelu(self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Kernels => kernels::gelu(x),
            Self::Burn => activation::gelu(x),
        }
    }

    fn pool(self, layer: &MaxPool2d, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kernels => kernels::max_pool2d(layer, x),
            Self::Burn => layer.forward(x),
        }
    }

    fn batch_norm(self, layer: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Kernels => kernels::batch_norm(layer, x),
            Self::Burn => layer.forward(x),
        }
    }

    fn layer_norm(self, layer: &LayerNorm, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Kernels => kernels::layer_norm(layer, x),
            Self::Burn => layer.forward(x),
        }
    }

    /// From query, key and value side by side.
    fn causal_attention(self, qkv: Tensor<3>) -> Tensor<3> {
        let [batch, time, _] = qkv.dims();
        match self {
            Self::Kernels => {
                let options = AttentionOptions {
                    causal: true,
                    ..Default::default()
                };
                kernels::self_attention(qkv, HEADS, options)
            }
            Self::Burn => {
                let options = AttentionModuleOptions {
                    is_causal: true,
                    ..Default::default()
                };
                let heads = |part: usize| {
                    qkv.clone()
                        .narrow(2, part * WIDTH, WIDTH)
                        .reshape([batch, time, HEADS, WIDTH / HEADS])
                        .swap_dims(1, 2)
                };
                attention(heads(0), heads(1), heads(2), None, None, options)
                    .swap_dims(1, 2)
                    .reshape([batch, time, WIDTH])
            }
        }
    }

    fn loss(self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        match self {
            Self::Kernels => kernels::cross_entropy(logits, targets),
            Self::Burn => CrossEntropyLossConfig::new()
                .init(&logits.device())
                .forward(logits, targets),
        }
    }
}

/// A network of the bench: its input and what comes out, one row of logits per target.
pub(crate) trait Network: Module + 'static {
    type Input: Clone;

    const NAME: &'static str;
    /// Targets of the batch.
    const TARGETS: usize;
    const CLASSES: usize;

    fn new(device: &Device) -> Self;

    fn input(device: &Device) -> Self::Input;

    fn forward(&self, by: By, input: Self::Input) -> Tensor<2>;
}

/// A network, its batch and its optimizer, AdamW.
pub(crate) struct Training<N: Network> {
    by: By,
    network: N,
    optimizer: ModuleOptimizer,
    input: N::Input,
    targets: Tensor<1, Int>,
}

impl<N: Network> Training<N> {
    pub(crate) fn new(by: By) -> Self {
        let device = Device::flex().autodiff();
        Self {
            by,
            network: N::new(&device),
            optimizer: match by {
                By::Kernels => kernels::AdamW::new().init(),
                By::Burn => AdamWConfig::new().init(),
            },
            input: N::input(&device),
            targets: Tensor::<1, Int>::arange(0..N::TARGETS as i64, &device)
                .remainder_scalar(N::CLASSES as i64),
        }
    }

    pub(crate) fn step(&mut self) {
        let logits = self.network.forward(self.by, self.input.clone());
        let loss = self.by.loss(logits, self.targets.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(1e-3, self.network.clone(), gradients);
    }
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[derive(Module, Debug)]
pub(crate) struct LeNet {
    convs: [Conv2d; 2],
    pool: MaxPool2d,
    fcs: [Linear; 3],
}

impl Network for LeNet {
    type Input = Tensor<4>;

    const NAME: &'static str = "lenet_b128";
    const TARGETS: usize = 128;
    const CLASSES: usize = 10;

    fn new(device: &Device) -> Self {
        let conv = |from, to, pad| {
            Conv2dConfig::new([from, to], [5, 5])
                .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                .init(device)
        };
        Self {
            convs: [conv(1, 6, 2), conv(6, 16, 0)],
            pool: half(),
            fcs: [(400, 120), (120, 84), (84, 10)]
                .map(|(from, to)| LinearConfig::new(from, to).init(device)),
        }
    }

    fn input(device: &Device) -> Tensor<4> {
        normal([128, 1, 28, 28], device)
    }

    fn forward(&self, by: By, mut x: Tensor<4>) -> Tensor<2> {
        for conv in &self.convs {
            x = by.pool(&self.pool, by.relu(by.conv2d(conv, x)));
        }
        let [a, b, c] = &self.fcs;
        let x = by.relu(by.linear(a, x.flatten::<2>(1, 3)));
        by.linear(c, by.relu(by.linear(b, x)))
    }
}

fn half() -> MaxPool2d {
    MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init()
}

#[derive(Module, Debug)]
pub(crate) struct Vgg {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    fc: Linear,
}

impl Network for Vgg {
    type Input = Tensor<4>;

    const NAME: &'static str = "vgg_b64";
    const TARGETS: usize = 64;
    const CLASSES: usize = 10;

    fn new(device: &Device) -> Self {
        let widths = [3, 32, 32, 64, 64, 128, 128];
        Self {
            convs: widths
                .windows(2)
                .map(|pair| {
                    Conv2dConfig::new([pair[0], pair[1]], [3, 3])
                        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                        .init(device)
                })
                .collect(),
            norms: widths[1..]
                .iter()
                .map(|width| BatchNormConfig::new(*width).init(device))
                .collect(),
            pool: half(),
            fc: LinearConfig::new(2048, 10).init(device),
        }
    }

    fn input(device: &Device) -> Tensor<4> {
        normal([64, 3, 32, 32], device)
    }

    fn forward(&self, by: By, mut x: Tensor<4>) -> Tensor<2> {
        for (index, (conv, norm)) in self.convs.iter().zip(&self.norms).enumerate() {
            x = by.relu(by.batch_norm(norm, by.conv2d(conv, x)));
            if index % 2 == 1 {
                x = by.pool(&self.pool, x);
            }
        }
        by.linear(&self.fc, x.flatten::<2>(1, 3))
    }
}

#[derive(Module, Debug)]
pub(crate) struct Lines {
    convs: Vec<Conv1d>,
    fc: Linear,
}

impl Network for Lines {
    type Input = Tensor<3>;

    const NAME: &'static str = "cnn1d_b64";
    const TARGETS: usize = 64;
    const CLASSES: usize = 5;

    fn new(device: &Device) -> Self {
        Self {
            convs: [1, 16, 32, 64, 64, 64]
                .windows(2)
                .map(|pair| {
                    Conv1dConfig::new(pair[0], pair[1], 7)
                        .with_stride(2)
                        .with_padding(PaddingConfig1d::Explicit(3, 3))
                        .init(device)
                })
                .collect(),
            fc: LinearConfig::new(64, 5).init(device),
        }
    }

    fn input(device: &Device) -> Tensor<3> {
        normal([64, 1, 1250], device)
    }

    fn forward(&self, by: By, mut x: Tensor<3>) -> Tensor<2> {
        for conv in &self.convs {
            x = by.conv1d_relu(conv, x);
        }
        by.linear(&self.fc, x.mean_dim(2).squeeze_dim::<2>(2))
    }
}

#[derive(Module, Debug)]
struct Block {
    norms: [LayerNorm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

/// Four layers of width 256, four heads, 128 positions, 512 tokens.
#[derive(Module, Debug)]
pub(crate) struct Gpt {
    tokens: Embedding,
    places: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

const WIDTH: usize = 256;
const HEADS: usize = 4;

impl Network for Gpt {
    type Input = Tensor<2, Int>;

    const NAME: &'static str = "gpt_4x256_b8";
    const TARGETS: usize = 1024;
    const CLASSES: usize = 512;

    fn new(device: &Device) -> Self {
        let norm = || LayerNormConfig::new(WIDTH).init(device);
        let linear = |from, to, bias| LinearConfig::new(from, to).with_bias(bias).init(device);
        Self {
            tokens: EmbeddingConfig::new(512, WIDTH).init(device),
            places: EmbeddingConfig::new(128, WIDTH).init(device),
            blocks: (0..4)
                .map(|_| Block {
                    norms: [norm(), norm()],
                    qkv: linear(WIDTH, 3 * WIDTH, false),
                    out: linear(WIDTH, WIDTH, false),
                    up: linear(WIDTH, 4 * WIDTH, true),
                    down: linear(4 * WIDTH, WIDTH, true),
                })
                .collect(),
            norm: norm(),
            head: linear(WIDTH, 512, false),
        }
    }

    fn input(device: &Device) -> Tensor<2, Int> {
        Tensor::<1, Int>::arange(0..1024, device)
            .remainder_scalar(509)
            .reshape([8, 128])
    }

    fn forward(&self, by: By, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, time] = tokens.dims();
        let places = Tensor::<1, Int>::arange(0..time as i64, &tokens.device());
        let mut x = self.tokens.forward(tokens) + self.places.forward(places.unsqueeze::<2>());
        for block in &self.blocks {
            let qkv = by.linear(&block.qkv, by.layer_norm(&block.norms[0], x.clone()));
            let seen = by.causal_attention(qkv);
            x = x + by.linear(&block.out, seen);
            let up = by.linear(&block.up, by.layer_norm(&block.norms[1], x.clone()));
            x = x + by.linear(&block.down, by.gelu(up));
        }
        by.linear(&self.head, by.layer_norm(&self.norm, x))
            .reshape([batch * time, 512])
    }
}
