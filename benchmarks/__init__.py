"""What is measured and how: benchmark definitions, engines, extraction, scoring, statistics."""
