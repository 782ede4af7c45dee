"""A detector and recordings that it never met arrive; what it heard, missed and made up leaves."""
