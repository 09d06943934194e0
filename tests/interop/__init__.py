"""Other people's clients, test suites and applications."""
