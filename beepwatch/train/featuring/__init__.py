"""Recordings and a feature recipe arrive; a feature store leaves, a row of numbers a frame."""
