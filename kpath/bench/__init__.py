# SPDX-License-Identifier: GPL-2.0-only
"""The benchmarks that `kpath bench` and `python -m bench` run, and the captures that they are run with."""
