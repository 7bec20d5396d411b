# SPDX-License-Identifier: GPL-2.0-only
"""`%{ ... }%`: Python that looks at the socket. Names are those of TCP_INFO, SO_MEMINFO and the CC's own info."""

from __future__ import annotations

import traceback
from typing import Any

from .script import Code
from .symbols import CODE_SYMBOLS

MEMINFO = {
    "SK_MEMINFO_RMEM_ALLOC": "sk_backlog.rmem_alloc",
    "SK_MEMINFO_RCVBUF": "sk_rcvbuf",
    "SK_MEMINFO_WMEM_ALLOC": "sk_wmem_alloc",
    "SK_MEMINFO_SNDBUF": "sk_sndbuf",
    "SK_MEMINFO_FWD_ALLOC": "sk_forward_alloc",
    "SK_MEMINFO_WMEM_QUEUED": "sk_wmem_queued",
    "SK_MEMINFO_OPTMEM": "sk_omem_alloc",
    "SK_MEMINFO_BACKLOG": "sk_backlog.len",
    "SK_MEMINFO_DROPS": "sk_drops",
}
BITFIELDS = {"tcpi_wscale"}


class CodeFailed(Exception):
    """An assertion did not hold, or the code raised something else."""


class Interpreter:
    """One namespace for all code blocks of a script."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, Any] = dict(CODE_SYMBOLS)

    def run(self, code: Code, info: dict[str, Any], state: dict[str, Any]) -> None:
        """Runs a block with the socket as it is now."""
        self.names.update((k, v) for k, v in info.items() if k not in BITFIELDS)
        self.names.setdefault("tcpi_fackets", 0)
        self.names.update((name, state[field]) for name, field in MEMINFO.items() if field in state)
        try:
            # a script may end in a continued line
            exec(compile(code.text.lstrip("\n") + "\n\n", self.path, "exec"), self.names)  # noqa: S102
        except AssertionError as e:
            raise CodeFailed(f"assertion failed: {code.text.strip()}" + (f" ({e})" if e.args else "")) from None
        except Exception as e:
            raise CodeFailed("".join(traceback.format_exception_only(e)).strip()) from None
