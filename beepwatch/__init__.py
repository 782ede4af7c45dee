"""Listens for the beeps of household appliances and tells a phone."""

__version__ = "0.1.0"
