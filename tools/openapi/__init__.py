"""The REST interface as OpenAPI 3.1, made of the descriptor set: `python -m tools.openapi > gen/openapi.json`.

REST bindings, required fields, access rules, words, refusals and comments come from the protos, pipelines' parameters from templates, and
examples from a live gateway (docs/api/examples); nothing is repeated here.
"""
