"""Attacks and faults: what was published about other servers, and what can fail below this one.

`docs/explanation/hardening.md` names the tests of this folder beside what they prove.
"""
