"""The student: learning it from transfer sets, tracking with it, and scoring it."""
