"""Pipeline templates: `catalog` reads the files of `configs/`, `section` and `declared` check them key by key, `parameters` and `period`
take a caller's values, `graph` orders the steps, and `step` is what a step type is made of.
"""
