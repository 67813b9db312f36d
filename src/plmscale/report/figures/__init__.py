"""Figures of a study and of laws, drawn with matplotlib."""
