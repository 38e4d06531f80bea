"""For tests, ours and other people's: builders, faults and contract suites."""
