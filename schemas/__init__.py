"""Types and rules of every dataset and table: the only place where a column is written. No input or output."""
