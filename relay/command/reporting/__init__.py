"""What the command shows beside progress: records, the plan of a dry run, a line to repeat."""
