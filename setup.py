"""Extensions and compiler directives; everything else is in pyproject.toml.

KPATH_DEBUG=1          bounds checks, pool poisoning, -O1 -g
KPATH_SANITIZE=LIST    with KPATH_DEBUG: the C sanitizers' flags, e.g. "address,undefined"
KPATH_COUNT=1          count which way conditions go, see bench/branches.py
"""
import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "kpath_c"))

import unity  # noqa: E402

DEBUG = os.environ.get("KPATH_DEBUG") == "1"
SANITIZE = os.environ.get("KPATH_SANITIZE", "")
COUNT = os.environ.get("KPATH_COUNT") == "1"
JOBS = int(os.environ.get("KPATH_JOBS") or multiprocessing.cpu_count())

# The kernel is compiled with these two, and its arithmetic relies on them.
CFLAGS = ["-fno-strict-aliasing", "-fwrapv", "-fvisibility=hidden"]
CFLAGS += ["-O1", "-g", "-DKPATH_DEBUG=1"] if DEBUG else ["-O3", "-g0"]
CFLAGS += ["-Wno-unused-function", "-Wno-unused-variable", "-Wno-unused-but-set-variable",
           "-Wno-address-of-packed-member"]
# The kernel side: what -O3 does to loops makes nothing faster there, but more inlining than it allows does.
# Two neighbouring counters are quicker counted each than put together in a vector register, and what two branches have
# in common costs more registers in front of them than it saves.
# A branch marked as unlikely is one that ordinary traffic does not take at all: see kpath_c/branches.py.
INLINING = {"builtin-expect-probability": 100, "inline-unit-growth": 300, "large-unit-insns": 100_000,
            "large-function-growth": 1000, "large-stack-frame-growth": 2000, "inline-min-speedup": 1,
            "early-inlining-insns": 14, "max-inline-insns-single": 1000, "max-inline-insns-auto": 1000}
KERNEL = ["-O2", "-fno-tree-slp-vectorize", "-fno-code-hoisting",
          f"-D{unity.PATH_MACRO}=inline __attribute__((always_inline))",
          *(word for name, n in INLINING.items() for word in ("--param", f"{name}={n}"))]
# The driver: what is declared inline is to be so however long it is.
DRIVER = ["--param", "max-inline-insns-single=1000"]


def taken(flags: list[str]) -> bool:
    """Does the C compiler know these flags? Others than gcc do not have its parameters."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    try:
        return subprocess.run([*compiler, "-Werror", *flags, "-E", "-x", "c", os.devnull],
                              capture_output=True).returncode == 0
    except OSError:
        return True     # the build itself tells that there is none


if DEBUG or COUNT or not taken(KERNEL):
    KERNEL = DRIVER = []
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
    "emit_code_comments": DEBUG,
}


# The traced variant calls back at both ends of each function. It need not be fast, but build quickly.
TRACED = ["-O0", "-g0", "-finstrument-functions",
          "-finstrument-functions-exclude-function-list=__Pyx,__pyx_pw,__pyx_pf,__pyx_tp,__pyx_gb,__pyx_mod,__pyx_pymod"]
BUILD = Path("build") / ("counting" if COUNT else "debug" if DEBUG else "release")  # the C text differs


def extension(name: str, source: Path, *flags: str, depends: tuple[Path, ...] = ()) -> Extension:
    return Extension(name, [str(source)], depends=[str(d) for d in (flags_file(), *depends)],
                     extra_compile_args=[*CFLAGS, *flags], extra_link_args=LDFLAGS)


def flags_file() -> Path:
    """Everything depends on it, so that other flags than last time's build everything anew."""
    used = [sysconfig.get_config_var("CFLAGS"), os.environ.get("CC"), os.environ.get("CFLAGS")]
    return unity.put(BUILD / "flags", repr((CFLAGS, LDFLAGS, KERNEL, DRIVER, TRACED, used)))


def extensions() -> list[Extension]:
    """The kernel side, the same traced, and one for each .pyx of the driver: what takes longest comes first."""
    gc.disable()  # a quarter of the compiler's time, for a tenth more memory
    kernel = unity.write(ROOT, BUILD / "unity", COUNT)
    driver = sorted(p.relative_to(ROOT) for p in (ROOT / "kpath").rglob("*.pyx"))
    made = cythonize([extension("kpath_c.host", kernel, *KERNEL),
                      *(extension(".".join(p.with_suffix("").parts), p, *DRIVER) for p in driver)],
                     compiler_directives=DIRECTIVES, nthreads=JOBS, build_dir=str(BUILD / "c"))
    gc.enable()
    unity.mark_path(Path(made[0].sources[0]))
    if COUNT:
        return made
    in_c = Path(made[0].sources[0])
    traced = unity.put(in_c.with_name("traced.c"), unity.TRACED_C)
    return [made[0], extension("kpath_c.traced", traced, *TRACED, depends=(in_c,)), *made[1:]]


def key(ext: Extension) -> str:
    """What an extension is made of. Times say nothing: pip brings its own Cython each time, whose files are new."""
    return sha256(b"".join(Path(name).read_bytes() for name in (*ext.sources, *ext.depends))).hexdigest()


class Build(build_ext):
    """As many extensions at once as there are cores, and none twice: `pip install .` and then `-e .` compile once."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS

    def run(self) -> None:
        for root in (ROOT, Path(self.build_lib)):
            self.remove_others(root)
        super().run()

    def build_extension(self, ext: Extension) -> None:
        target, made = Path(self.get_ext_fullpath(ext.name)), BUILD / "so" / self.get_ext_filename(ext.name)
        for path in (target, made):
            path.parent.mkdir(parents=True, exist_ok=True)
        made_of, now = made.with_suffix(".key"), key(ext)
        if made.exists() and made_of.exists() and made_of.read_text() == now:
            shutil.copyfile(made, target)  # with a new time: setuptools copies only what is newer to the source tree
            return
        target.unlink(missing_ok=True)
        super().build_extension(ext)
        shutil.copy2(target, made)
        made_of.write_text(now)

    def remove_others(self, root: Path) -> None:
        """Modules that are built no longer: left over from an earlier layout, they would hide or join what is."""
        built = {ext.name for ext in self.extensions}
        for package in ("kpath_c", "kpath"):
            for path in sorted((root / package).rglob("*.so")):
                name = ".".join([*path.relative_to(root).parts[:-1], path.name.split(".")[0]])
                if name not in built:
                    self.announce(f"removing {path}: {name} is no module of its own", level=2)
                    path.unlink()


os.chdir(ROOT)
setup(ext_modules=extensions(), cmdclass={"build_ext": Build})
