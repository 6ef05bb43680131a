"""The DVC stages, in the order in which they run: index, track, select, pack, stats, report."""
