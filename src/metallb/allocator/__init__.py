"""Which address a Service gets, keeps or lacks, and why: intervals on integers."""
