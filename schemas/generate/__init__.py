"""Files generated from the models: Arrow schemas, dbt files and the data dictionary."""
