"""What tenants have used of their plans: reading it (`reader`, `memory`), and granting reservations (`reserver`, `known_plans`)."""
