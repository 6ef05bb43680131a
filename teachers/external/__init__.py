"""Trackers of a user's own checkout: `pytracking:TRACKER/PARAMETERS` and `pysot:EXPERIMENT`.

Each runs in a process of its own (`checkout_worker`), in the Python interpreter that the user names, and nothing is
written into the checkout. See docs/external-trackers.md.
"""

from teachers.external.named import PROJECTS, factory, is_external, remedy

__all__ = ["PROJECTS", "factory", "is_external", "remedy"]
