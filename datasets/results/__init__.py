"""Boxes that trackers wrote: results of the GOT-10k toolkit, OTB, pysot and pytracking, read and written."""

from datasets.results.errors import MissingResultError, ResultLengthError
from datasets.results.folder import ResultsFolder
from datasets.results.writer import Layout, write_results

__all__ = ["Layout", "MissingResultError", "ResultLengthError", "ResultsFolder", "write_results"]
