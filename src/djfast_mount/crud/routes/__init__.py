"""The routes of a resource, and how they stand in OpenAPI."""
