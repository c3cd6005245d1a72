"""From a base to an expansion: reduction, cells, options, what will come out."""
