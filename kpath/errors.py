# SPDX-License-Identifier: GPL-2.0-only
"""The one exception that the driver raises for input that it cannot use."""

from __future__ import annotations


class InputError(Exception):
    """Input that cannot be used. The text is one line without the leading `kpath: `; the command ends in 2."""


def at(where: str, text: str) -> InputError:
    """An InputError that names the file (or option) `where` it comes from."""
    return InputError(f"{where}: {' '.join(text.split())}")
