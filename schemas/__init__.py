"""Types and rules of all datasets and tables: the only place where columns are defined. No input or output."""
