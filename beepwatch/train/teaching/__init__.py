"""A new sound from a few examples: heads for the shelf, fitted without torch."""
