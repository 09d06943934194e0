"""Plugins of pytest that other projects' suites run with; each is imported by itself."""
