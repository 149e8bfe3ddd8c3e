"""A detector of arrhythmia in PyTorch: the other side of `cargo bench --bench accelerator`.

    pip install torch
    python3 benches/detector_torch.py [REPEATS]

The network of that bench in 32-bit floats: 1,250 samples, five convolutions of 3 to 20 channels and two dense layers, on one thread. The time of one
segment, alone and in batches of 64: the median, the fastest and the slowest of the repeats.
"""
import statistics, sys, time

import torch
from torch import nn

# Outputs, inputs, kernel and stride.
CONVOLUTIONS = [(3, 1, 6, 2), (5, 3, 5, 2), (10, 5, 4, 2), (20, 10, 4, 2), (20, 20, 4, 2)]

repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 200
torch.set_num_threads(1)
layers = []
for outputs, inputs, kernel, stride in CONVOLUTIONS:
    layers += [nn.Conv1d(inputs, outputs, kernel, stride), nn.ReLU()]
layers += [nn.Flatten(), nn.Linear(740, 10), nn.ReLU(), nn.Linear(10, 2)]
network = nn.Sequential(*layers).eval()

with torch.inference_mode():
    for batch in (1, 64):
        signals = torch.ones(batch, 1, 1250)
        for _ in range(20):
            network(signals)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            network(signals)
            times.append(1e6 * (time.perf_counter() - start) / batch)
        times = statistics.median(times), min(times), max(times)
        name = f"batches of {batch}"
        print(f"{name:16} {times[0]:.1f} us a segment ({times[1]:.1f} to {times[2]:.1f})")
