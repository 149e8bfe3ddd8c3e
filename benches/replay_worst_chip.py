"""Judges a stored worst chip with numpy alone: an independent replay of `crossburn worst-case`.

    python3 benches/replay_worst_chip.py RUN MNIST_DIR

RUN is the folder of a worst-case run on LeNet and MNIST, MNIST_DIR holds the four IDX files. The script reads the weights
and the ranges of activations from RUN/worst-chip/checkpoint, computes the network by its definition in float64, and says how
many images have another verdict than in RUN/results.json. It exits with 1 if the accuracy differs by an image.
"""
import gzip, json, pathlib, sys
import numpy as np


def safetensors(path):
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        kind = {"F32": np.float32, "I64": np.int64, "BOOL": np.uint8, "U8": np.uint8}[entry["dtype"]]
        tensors[name] = np.frombuffer(data[8 + size + start : 8 + size + end], kind).reshape(entry["shape"])
    return tensors


def idx(folder, name):
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            dimensions = data[3]
            shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(dimensions)]
            return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    raise SystemExit(f"no {name} in {folder}")


def convolution(x, weight, bias):
    """3 x 3 taps, one pixel of zeros around; [batch, in, h, w]."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", patches, weight, optimize=True) + bias[:, None, None]


def pooled(x):
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))


def activation(x, scale, bits):
    """Rectified, clipped to the range and rounded to 2^bits - 1 steps of it."""
    step = scale / (2**bits - 1)
    return np.rint(np.clip(x, 0, scale) / step) * step


def main(run, data):
    run, data = pathlib.Path(run), pathlib.Path(data)
    results = json.loads((run / "results.json").read_text())
    manifest = json.loads((run / "worst-chip/checkpoint/manifest.json").read_text())
    bits = manifest["architecture"]["bits"]
    tensors = safetensors(run / "worst-chip/checkpoint/model.safetensors")
    w = {name: values.astype(np.float64) for name, values in tensors.items()}
    ranges = [w[f"act{i}.quantizer.range"].item() for i in (1, 2, 3, 4)]
    count = results["images"]
    images = idx(data, "t10k-images-idx3-ubyte")[:count].astype(np.float64) / 255
    labels = idx(data, "t10k-labels-idx1-ubyte")[:count]
    x = ((images - 0.1307) / 0.3081)[:, None]
    x = activation(pooled(convolution(x, w["conv1.weight"], w["conv1.bias"])), ranges[0], bits)
    x = activation(pooled(convolution(x, w["conv2.weight"], w["conv2.bias"])), ranges[1], bits)
    x = x.reshape(count, -1)
    for layer, scale in (("fc1", ranges[2]), ("fc2", ranges[3])):
        x = activation(x @ w[f"{layer}.weight"].T + w[f"{layer}.bias"], scale, bits)
    logits = x @ w["fc3.weight"].T + w["fc3.bias"]
    right = int((logits.argmax(1) == labels).sum())
    stored = round(results["accuracy"] * count)
    print(f"{right} of {count} images are right here, {stored} in {run / 'results.json'}")
    return right == stored


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.exit(0 if main(*sys.argv[1:]) else 1)
