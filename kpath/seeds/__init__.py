# SPDX-License-Identifier: GPL-2.0-only
"""The functions and call graphs that kpath was founded on, and what 6.18 has in their place."""
