"""Structural similarity in PyTorch: the other side of `cargo bench --bench similarity`.

    pip install torch
    python3 benches/similarity_torch.py [REPEATS]

The map of one slice of 192 x 192 pixels with the same window, on one thread: a Gaussian of 5 x 5 pixels with a standard deviation of 1.5, zeros beyond
the edges. The window is a product of a column and a row, so the five local means are two convolutions. The median, the fastest and the slowest of the
repeats.
"""
import statistics, sys, time

import torch
import torch.nn.functional as F

repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 200
torch.set_num_threads(1)
taps = torch.exp(-torch.arange(-2.0, 3.0) ** 2 / (2 * 1.5**2))
taps = taps / taps.sum()
column, row = taps.view(1, 1, 5, 1), taps.view(1, 1, 1, 5)


def structural_similarity(x, y):
    moments = torch.cat([x, y, x * x, y * y, x * y])
    x, y, xx, yy, xy = F.conv2d(F.conv2d(moments, column, padding=(2, 0)), row, padding=(0, 2))
    square, power = x * x + y * y, x * y
    means = (2 * power + 0.01**2) / (square + 0.01**2)
    return means * (2 * (xy - power) + 0.03**2) / (xx + yy - square + 0.03**2)


with torch.inference_mode():
    x, y = torch.rand(2, 1, 1, 192, 192)
    for _ in range(20):
        structural_similarity(x, y)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        structural_similarity(x, y)
        times.append(1e3 * (time.perf_counter() - start))
    print(f"map 192x192 {statistics.median(times):.3f} ms ({min(times):.3f} to {max(times):.3f})")
