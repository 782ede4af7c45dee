"""Recordings and a recipe arrive; a checked model bundle and its measured quality leave.

Needs the `[train]` extra; nothing of the daemon imports from here.
"""
