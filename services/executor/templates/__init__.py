"""Pipeline templates. `catalog` reads the files of `configs/`; `section` and `declared` check them key by key; `parameters` and `period`
interpret a caller's values; `graph` orders the steps; `step` is the interface of step types.
"""
