# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel functions ran for each packet, call and timer of a replay."""
