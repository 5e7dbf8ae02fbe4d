"""The parts of the report's page: its markup, its charts and its sections."""
