"""A recording arrives over HTTP; what can be heard in it leaves. Bad files meet workers only."""
