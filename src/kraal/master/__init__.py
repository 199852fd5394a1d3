"""The master: owns the listeners and the managers, writes the log, answers signals."""
