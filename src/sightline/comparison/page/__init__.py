"""The parts of the report's page: its charts and its sections."""
