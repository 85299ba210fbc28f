"""The console: five screens for tenants and operators, served as HTML by a process that calls the REST API like any frontend's."""
