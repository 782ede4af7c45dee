"""Windows arrive; what a machine that was learned sounds like now, and for how long, leaves."""
