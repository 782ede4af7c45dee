"""A feature store with abnormal sound arrives; kinds of faults leave, for a person to name."""
