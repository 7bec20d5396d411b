"""The same benchmarks under pytest-benchmark: pytest bench --benchmark-enable."""

import pytest

from kpath.bench.cases import Case, all_cases


@pytest.mark.parametrize("case", all_cases(), ids=lambda c: c.name)
def test_speed(benchmark, case: Case) -> None:
    """One round each where benchmarks are off: that every case still runs is a test of its own."""
    done, took = [], []

    def setup():
        context = case.ready()
        done.append(context)
        return (context.__enter__(),), {}

    def teardown(*_):
        done.pop().__exit__(None, None, None)

    def work(run):
        units = run.work()
        if run.ns:
            took.append(run.ns())
        return units

    units = benchmark.pedantic(work, setup=setup, teardown=teardown, rounds=3)
    assert units > 0
    benchmark.extra_info["units"] = units
    if benchmark.stats:
        best = min(took) if took else benchmark.stats.stats.min * 1e9
        benchmark.extra_info[f"ns per {case.unit}"] = round(best / units, 1)
