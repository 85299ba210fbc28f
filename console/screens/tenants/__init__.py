"""Tenants: who has fresh data, who fails, what each uses; and the life of one of them."""
