"""Tables of a study and of laws."""
