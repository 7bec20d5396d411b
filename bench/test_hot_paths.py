"""The same benchmarks under pytest-benchmark: pytest bench --benchmark-enable."""

import pytest

from bench.cases import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_speed(benchmark, case: Case) -> None:
    """One round each where benchmarks are off: that every case still runs is a test of its own."""
    done = []

    def setup():
        context = case.ready()
        done.append(context)
        return (context.__enter__().work,), {}

    def teardown(*_):
        done.pop().__exit__(None, None, None)

    units = benchmark.pedantic(lambda work: work(), setup=setup, teardown=teardown, rounds=3)
    assert units > 0
    benchmark.extra_info["units"] = units
    if benchmark.stats:
        benchmark.extra_info[f"ns per {case.unit}"] = round(benchmark.stats.stats.min * 1e9 / units, 1)
