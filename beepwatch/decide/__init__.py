"""Decisions without I/O: in come frame scores and known gaps, each with its own time;
out go pulses, episodes and what is to be told. A list and a number are enough to test any of it."""
