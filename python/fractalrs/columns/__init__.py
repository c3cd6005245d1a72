"""Columns of tables: how they are found by name, and what their types become."""
