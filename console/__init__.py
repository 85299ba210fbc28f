"""The console: screens for tenants and operators, served as HTML by a process that calls the REST API like any frontend's.

`gateway/` calls the API, `web/` holds what every page needs (sessions, guards, rendering), `screens/` has one package for each screen.
"""
