"""Offer commands for people: plan, verify, compare, list benchmarks, fetch data."""
