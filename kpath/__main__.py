# SPDX-License-Identifier: GPL-2.0-only
"""`python -m kpath`."""

from .cli import entry

if __name__ == "__main__":
    entry()
