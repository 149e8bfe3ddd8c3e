"""Prefill and decoding by llama.cpp: the other side of `crossburn bench`.

    CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON" pip install llama-cpp-python numpy
    python3 benches/decode_llama_cpp.py FILE.gguf [REPEATS] [THREADS]

As `pp512` and `tg128` of `crossburn bench`: random tokens, one run to warm up, mean and standard deviation of the repeats.
"""
import sys, time

import numpy as np
from llama_cpp import Llama

file = sys.argv[1]
repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
model = Llama(file, n_threads=threads, n_threads_batch=threads, n_ctx=640, n_batch=512, verbose=False)
tokens = np.random.default_rng(1).integers(3, model.n_vocab() - 3, 512).tolist()


def speed(passes, count):
    model.reset()
    start = time.perf_counter()
    for some in passes:
        model.eval(some)
    return count / (time.perf_counter() - start)


for name, passes in [("pp512", [tokens]), ("tg128", [[token] for token in tokens[:128]])]:
    count = sum(len(some) for some in passes)
    speed(passes, count)
    speeds = [speed(passes, count) for _ in range(repeats)]
    print(f"{name}: {np.mean(speeds):.1f} ± {np.std(speeds, ddof=1):.1f} tokens/s")
