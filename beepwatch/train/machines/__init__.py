"""Machines that run: how one sounds when it is well, which fault it has. Needs numpy alone."""
