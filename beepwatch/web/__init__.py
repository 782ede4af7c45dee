"""In: a browser on this machine, and what it sends. Out: pages, pictures, sound, labels on disk.

Needs the `[web]` extra.
"""
