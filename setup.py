"""Extensions and compiler directives; everything else is in pyproject.toml.

KPATH_DEBUG=1          bounds checks, pool poisoning, -O1 -g
KPATH_SANITIZE=LIST    with KPATH_DEBUG: the C sanitizers' flags, e.g. "address,undefined"
"""
import multiprocessing
import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "kpath_c"))

import unity  # noqa: E402

DEBUG = os.environ.get("KPATH_DEBUG") == "1"
SANITIZE = os.environ.get("KPATH_SANITIZE", "")
JOBS = int(os.environ.get("KPATH_JOBS") or multiprocessing.cpu_count())

# The kernel is compiled with these two, and its arithmetic relies on them.
CFLAGS = ["-fno-strict-aliasing", "-fwrapv", "-fvisibility=hidden"]
CFLAGS += ["-O1", "-g", "-DKPATH_DEBUG=1"] if DEBUG else ["-O3", "-g0"]
CFLAGS += ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-but-set-variable"]
LDFLAGS = []
if DEBUG and SANITIZE:
    CFLAGS += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
    LDFLAGS += [f"-fsanitize={SANITIZE}"]

DIRECTIVES = {
    "language_level": 3,
    "cdivision": True,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "embedsignature": True,
    "warn.undeclared": False,
}


# The traced variant calls back at both ends of each function. It need not be fast, but build quickly.
TRACED = ["-O1", "-g0", "-finstrument-functions",
          "-finstrument-functions-exclude-function-list=__Pyx,__pyx_pw,__pyx_pf,__pyx_tp,__pyx_gb,__pyx_mod,__pyx_pymod"]


def traced() -> Extension:
    """All of the kernel side in one module, instrumented (kpath_c/unity.py)."""
    source = unity.write(ROOT, ROOT / "build" / "traced" / "traced.pyx").relative_to(ROOT)
    return Extension("kpath_c.traced", [str(source)], extra_compile_args=[*CFLAGS, *TRACED], extra_link_args=LDFLAGS)


def extensions() -> list[Extension]:
    """One extension per .pyx, and the traced one: first, as it takes longest."""
    found = [traced()]
    for package in ("kpath_c", "kpath"):
        for path in sorted((ROOT / package).rglob("*.pyx")):
            source = path.relative_to(ROOT)
            name = ".".join(source.with_suffix("").parts)
            found.append(Extension(name, [str(source)], extra_compile_args=CFLAGS, extra_link_args=LDFLAGS))
    return found


class ParallelBuild(build_ext):
    """Compiles as many extensions at once as there are cores."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


setup(
    ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, nthreads=JOBS,
                          compile_time_env=None, build_dir="build/cython", force=False),
    cmdclass={"build_ext": ParallelBuild},
)
