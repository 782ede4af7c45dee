"""Recordings and a recipe arrive; a checked model bundle and its measured quality leave.

Needs the `[train]` extra, except for teaching and for what lists, groups and labels clips: these
run on the box with numpy alone, module by module.
"""
