"""The benchmarks that judge something are tested: they have to be able to fail."""
