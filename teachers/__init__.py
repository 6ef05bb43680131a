"""Trackers behind one protocol: see `teachers.base` for it and `teachers.registry` for their names."""
