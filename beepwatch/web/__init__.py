"""In: a browser on this machine, and what it sends; recordings, from whoever asks over HTTP.

Out: pages, pictures, sound, labels on disk; what is heard in a recording. Needs the `[web]` extra.
"""
