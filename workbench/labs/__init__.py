"""Labs: one folder per field, each opening one or more panels."""
