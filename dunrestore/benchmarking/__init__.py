"""Measure restoration on sets of pairs: metrics, baselines, statistics, tables."""
