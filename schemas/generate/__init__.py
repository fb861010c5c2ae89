"""What is generated from the schemas: Arrow schemas, dbt YAML and macros, the dictionary."""
