"""Times noisy copies of a ResNet-20 in PyTorch: the other side of the `crossburn evaluate` of benches/README.md.

    python3 benches/population_resnet20.py resnet20.safetensors CIFAR10_DIR [CHIPS] [IMAGES] [THREADS]

Needs torch and safetensors. Batch norms are folded into the convolutions, as exporters do. Every copy takes new Gaussian noise on its weights, and
classifies all images in batches of 128.
"""
import statistics, sys, time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

weights, folder = load_file(sys.argv[1]), sys.argv[2]
chips, images, threads = (int(sys.argv[3 + i]) if len(sys.argv) > 3 + i else d for i, d in enumerate((20, 2000, 2)))
torch.set_num_threads(threads)


def folded(conv, norm):
    scale = weights[norm + ".weight"] / torch.sqrt(weights[norm + ".running_var"] + 1e-5)
    bias = weights[norm + ".bias"] - weights[norm + ".running_mean"] * scale
    return weights[conv + ".weight"] * scale[:, None, None, None], bias


names = [("conv1", "bn1")]
for stage in (1, 2, 3):
    for block in range(3):
        path = f"layer{stage}.{block}"
        names += [(f"{path}.conv1", f"{path}.bn1"), (f"{path}.conv2", f"{path}.bn2")]
layers = [folded(*name) for name in names] + [(weights["linear.weight"], weights["linear.bias"])]


def forward(layers, x):
    layers = iter(layers)
    x = F.relu(F.conv2d(x, *next(layers), padding=1))
    for stage in (1, 2, 3):
        for block in range(3):
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.relu(F.conv2d(x, *next(layers), stride=stride, padding=1))
            y = F.conv2d(y, *next(layers), padding=1)
            if stride == 2:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, x.shape[1] // 2, x.shape[1] // 2))
            x = F.relu(x + y)
    return F.linear(x.mean((2, 3)), *next(layers))


raw = torch.frombuffer(bytearray(open(f"{folder}/test_batch.bin", "rb").read()), dtype=torch.uint8).reshape(-1, 3073)[:images]
mean, std = (torch.tensor(v)[None, :, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
x = (raw[:, 1:].reshape(-1, 3, 32, 32).float() / 255 - mean) / std
labels = raw[:, 0].long()


@torch.inference_mode()
def accuracy(layers):
    hits = sum((forward(layers, x[i : i + 128]).argmax(1) == labels[i : i + 128]).sum().item() for i in range(0, len(x), 128))
    return 100 * hits / len(x)


print(f"clean {accuracy(layers):.2f} %")
found, wall, processor = [], [], []
for chip in range(chips):
    start = time.perf_counter(), time.process_time()
    noisy = [(w + 0.05 * w.abs().max() * torch.randn_like(w), b) for w, b in layers]
    found.append(accuracy(noisy))
    wall.append(time.perf_counter() - start[0])
    processor.append(time.process_time() - start[1])
print(f"mean {statistics.mean(found):.2f} %, a chip of {len(x)} images: {statistics.median(wall):.2f} s, {statistics.median(processor):.2f} s of processor time")
