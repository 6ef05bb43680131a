"""Image features shared by the correlation filters."""
