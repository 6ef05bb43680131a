"""Stage 6, report: one HTML file that shows what the pipeline made, to be opened, mailed or archived as it is."""
