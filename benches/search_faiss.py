"""Exact search by FAISS: the other side of `cargo bench --bench search`.

    pip install faiss-cpu numpy
    python3 benches/search_faiss.py [REPEATS] [THREADS]

100,000 normal vectors of 64 numbers in a flat index of inner products, the best 10 of each query, for 64 queries at once and for one. One search
warms up; then the median, the fastest and the slowest of the repeats.
"""
import statistics, sys, time

import faiss
import numpy as np

ENTRIES, DIMENSION, FOUND = 100_000, 64, 10

repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 20
threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
faiss.omp_set_num_threads(threads)
draws = np.random.default_rng(1)
index = faiss.IndexFlatIP(DIMENSION)
index.add(draws.standard_normal((ENTRIES, DIMENSION), dtype=np.float32))

for count in (64, 1):
    queries = draws.standard_normal((count, DIMENSION), dtype=np.float32)
    index.search(queries, FOUND)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        index.search(queries, FOUND)
        times.append(1e3 * (time.perf_counter() - start))
    times = statistics.median(times), min(times), max(times)
    name = f"{count} queries, {threads} threads"
    print(f"{name:24} {times[0]:.2f} ms ({times[1]:.2f} to {times[2]:.2f})")
